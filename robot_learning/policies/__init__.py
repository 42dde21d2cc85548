"""Policies: one file or small folder per algorithm, behind one interface."""
