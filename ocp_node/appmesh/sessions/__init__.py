"""Logging in and out: tokens, one-time codes, renewal."""
