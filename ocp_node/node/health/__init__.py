"""Is the process alive, is it ready, what does it measure."""
