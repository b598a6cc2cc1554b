"""Signs of life, and what happens when they stop (OSCP 2.0 heartbeat)."""
