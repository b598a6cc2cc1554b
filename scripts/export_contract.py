#!/usr/bin/env python3
"""Write the contract of the mesh (`GET /mesh/contract`) without starting a node.

    python3 scripts/export_contract.py --pretty
    python3 scripts/export_contract.py --pretty --output docs/generated/OCP_CONTRACT_v0.1.json
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ocp_node.contract.documents import contract_text
from server_contract import ROUTES


def main(arguments: list[str]) -> int:
    """The document is on standard output, or whole in the file named."""
    parser = argparse.ArgumentParser(description="Write the contract of the mesh without starting a node.")
    parser.add_argument("--pretty", action="store_true", help="indent, one member a line")
    parser.add_argument("--output", metavar="FILE", type=Path, help="write to FILE instead of standard output")
    given = parser.parse_args(arguments)
    text = contract_text(ROUTES, given.pretty)
    if given.output is None:
        sys.stdout.write(text)
    else:
        write_whole(given.output, text)
    return 0


def write_whole(path: Path, text: str) -> None:
    """The file holds the text; nobody ever sees a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
