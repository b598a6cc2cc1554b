"""What every other package stands on; imports nothing of ours."""
