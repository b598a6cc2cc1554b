"""Reads other directories into this one."""
