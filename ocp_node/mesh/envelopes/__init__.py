"""Signed envelopes: opened for the four signed routes, made for calls to peers; no routes of its own."""
