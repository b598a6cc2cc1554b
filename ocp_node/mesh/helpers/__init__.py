"""Peers that lend a hand: enlisted, drained, retired, preferred."""
