"""MuJoCo as a robot and as cameras."""
