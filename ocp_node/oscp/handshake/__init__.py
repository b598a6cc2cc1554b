"""Two parties agree on heartbeats and on how they measure (OSCP 2.0 handshake)."""
