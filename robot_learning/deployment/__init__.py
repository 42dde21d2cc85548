"""From a checkpoint to commands in time: policy server and client, chunk scheduling, what runs where. No rclpy."""
