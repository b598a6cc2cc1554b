#!/usr/bin/env python3
"""Measures the node beside named peers, in the same run.

    python3 scripts/bench.py [--rows G1,G7] [--seconds 2] [--rounds 3] [--json FILE]

Ratios count, absolute numbers depend on the machine.  A row whose peer or program is not there is left out and says so;
nothing here fails a build.  Needs wrk and gcc, and nginx for G2; the packages of the other peers are installed into an
environment of their own beside the checkout.
"""

import argparse
import json
import os
import platform
import sqlite3
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from benchmarks import rows
from benchmarks.machine import Missing


def main() -> int:
    """0 once every row that was asked for has been tried."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", default=",".join(rows.ROWS), help="which rows, separated by commas")
    parser.add_argument("--seconds", type=float, default=2.0, help="load per round and contender")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", default="", help="also write the figures to this file")
    asked = parser.parse_args()
    functions = list(dict.fromkeys(rows.ROWS[name.strip()] for name in asked.rows.split(",")))
    print(about(), flush=True)
    measured = [row for function in functions for row in run(function, asked)]
    print("load afterwards: " + " ".join(f"{value:.2f}" for value in os.getloadavg()))
    if asked.json:
        Path(asked.json).write_text(json.dumps({"machine": about(), "rows": measured}, indent=1) + "\n")
    return 0


def run(function, asked) -> list:
    """The rows of one comparison, each printed as soon as it is there."""
    with tempfile.TemporaryDirectory(prefix="ocp-bench-") as folder:
        bench = rows.Bench(Path(folder), asked.seconds, asked.rounds)
        try:
            made = function(bench)
        except Missing as missing:
            made = [{"what": function.__doc__.split("\n")[0], "missing": str(missing)}]
        finally:
            bench.close()
    for row in made:
        print(line(row), flush=True)
    return made


def line(row) -> str:
    """One row for people."""
    if "missing" in row:
        return f"left out  {row['what']}: {row['missing']}"
    less = row.get("less", False)
    reached = "aim " if (row["ratio"] <= row["aim"] if less else row["ratio"] >= row["aim"]) else \
        "must" if (row["ratio"] <= row["must"] if less else row["ratio"] >= row["must"]) else "MISS"
    details = f"  cpu {row['ours_cpu_us']} / {row['peer_cpu_us']} us a request" if "ours_cpu_us" in row else ""
    note = f"  ({row['note']})" if row.get("note") else ""
    figures = f"{row['ours']} to {row['peer']}, must {row['must']} aim {row['aim']}"
    return f"{reached}  {row['ratio']:8.2f}x  {row['what']}: {figures}{details}{note}"


def about() -> str:
    """What was measured on."""
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    return (f"{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} cores, "
            f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, load before {load}")


if __name__ == "__main__":
    sys.exit(main())
