"""Regression with the mean squared error: what the other policies are measured against."""
