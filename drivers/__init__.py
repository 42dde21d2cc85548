"""Robots and cameras behind small protocols, and the gate that every command passes."""
