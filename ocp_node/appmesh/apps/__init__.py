"""Programs under supervision: defined, started, stopped, watched."""
