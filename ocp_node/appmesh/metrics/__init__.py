"""Measurements of the supervised programs in Prometheus form."""
