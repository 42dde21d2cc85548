"""BESO: goal-conditioned imitation learning using score-based diffusion policies (Reuss et al., RSS 2023)."""
