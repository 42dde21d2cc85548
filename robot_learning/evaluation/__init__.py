"""Evaluation: rollouts on unseen seeds, intervals, paired comparison, reports."""
