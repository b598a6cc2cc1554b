"""What groups and devices measured (OSCP 2.0 measurements)."""
