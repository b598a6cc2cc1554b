"""People and programs that may log in, and their passwords."""
