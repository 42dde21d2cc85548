"""Rollouts on unseen seeds and what they show: `evaluate`, `rollout`, `statistics`."""
