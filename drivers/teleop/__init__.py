"""Input devices: what a person's hands do, as axes and buttons. No ROS."""
