"""Simulated rigs with tasks, one Gymnasium API for all: `make("panda/lift")`."""
