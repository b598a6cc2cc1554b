"""What `scripts/bench.py` measures with: contenders, load, rows."""
