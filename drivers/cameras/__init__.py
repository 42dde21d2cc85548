"""Cameras by type; each driver a file."""
