"""Hello Robot Stretch: its driver, the library's process, its kinematics."""
