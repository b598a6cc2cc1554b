"""Stand-ins for programs that a test machine may lack: they say how they were called, and do what a test wants of them."""

from __future__ import annotations

import os
from pathlib import Path

# Prints its arguments, one a line, and the variables a test looks for; `rm` leaves a mark; one image goes on until it is killed.
DOCKER = """#!/bin/sh
here=$(dirname "$0")
if [ "$1" = rm ]; then echo "$*" >> "$here/removed"; exit 0; fi
for word in "$@"; do
  echo "arg:$word"
  [ "$word" = sleep-image ] && exec sleep 300
  [ "$word" = fail-image ] && { echo "no such image" >&2; exit 125; }
done
echo "secret:$TOKEN"
"""
WASM = """#!/bin/sh
for word in "$@"; do echo "arg:$word"; done
echo "secret:$TOKEN"
"""


def install(folder: Path, **scripts: str) -> str:
    """The scripts are programs in the folder; a PATH that finds them first."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, script in scripts.items():
        path = folder / name
        path.write_text(script)
        path.chmod(0o755)
    return f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin"


def stand_ins(folder: Path) -> str:
    """A PATH with a stand-in for docker and for wasmtime."""
    return install(folder, docker=DOCKER, wasmtime=WASM)
