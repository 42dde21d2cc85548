"""Which seeds are for what, so that no policy is evaluated on a start that it was trained on."""

TRAINING_SEEDS_END = 100_000
"""Demonstrations use seeds from 0 up to this; evaluation uses seeds from here."""
