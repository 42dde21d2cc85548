"""The parts of a rig file, one record each."""
