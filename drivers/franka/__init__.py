"""Franka FR3 and Panda arms with the Franka Hand, through franky and libfranka."""
