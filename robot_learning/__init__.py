"""Record demonstrations that can be trusted, train policies on them, run them safely on a robot."""

__version__ = "0.1.0"
