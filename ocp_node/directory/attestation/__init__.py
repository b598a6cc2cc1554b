"""Answers that this directory has signed."""
