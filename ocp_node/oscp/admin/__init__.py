"""The operator's view of parties and messages."""
