"""Vendors' libraries in one process with ROS."""

import contextlib

with contextlib.suppress(ImportError):
    # pyrealsense2 2.59 imported before rclpy: the process ends with a segmentation fault. Nodes import rclpy first.
    import rclpy  # noqa: F401
