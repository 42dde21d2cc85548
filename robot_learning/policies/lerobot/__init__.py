"""Checkpoints of LeRobot as checkpoints of ours."""
