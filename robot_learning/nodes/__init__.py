"""ROS 2 nodes: parameters, QoS, lifecycle, diagnostics around the ROS-free core. The only code that imports rclpy."""
