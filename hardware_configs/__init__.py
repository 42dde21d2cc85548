"""One YAML file per rig; see docs/architecture.md for the keys."""
