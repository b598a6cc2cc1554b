"""A goal with its jobs: launched, followed, controlled as one."""
