"""Messages that stand for waiting jobs: order, visibility, replay, dead letters."""
