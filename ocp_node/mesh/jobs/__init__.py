"""Work to be done: taken in, placed, run, attempted, recovered."""
