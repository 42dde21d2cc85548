"""Training: data views, the loop, exact resume."""
