"""Packed missions: checked, and planned for a new home."""
