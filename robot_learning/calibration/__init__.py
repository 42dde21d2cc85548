"""Calibration: where cameras are, and how late cameras, joints and gripper are. No ROS in here."""
