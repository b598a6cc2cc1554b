"""Joining in one step: a code that is good once and for minutes, and four words to compare."""
