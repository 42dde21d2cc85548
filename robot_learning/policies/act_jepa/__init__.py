"""ACT-JEPA: a policy that also predicts the latents of the robot's future (arXiv 2501.14622)."""
