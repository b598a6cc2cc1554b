#!/usr/bin/env python3
"""Write docs/generated from the routes, records and settings; `--check` writes nothing and fails when a file is stale."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ocp_node.base.records import schema_of  # noqa: E402  (the folder must be on the path first)
from ocp_node.base.settings import SETTINGS  # noqa: E402
from ocp_node.contract.documents import contract_text, openapi_text  # noqa: E402
from ocp_node.contract.openapi import refusals  # noqa: E402
from ocp_node.contract.route import Route, Stability  # noqa: E402
from ocp_node.contract.snapshot import path_names, record_ref  # noqa: E402
from server_contract import ROUTES  # noqa: E402

FOLDER = ROOT / "docs" / "generated"
NOTE = "Made by `scripts/generate_docs.py`; do not edit.\n"
TITLES = {"mesh": "Mesh", "directory": "Seed directory", "appmesh": "App Mesh", "oscp": "OSCP", "node": "Node"}
PREFIX = "#"


def pages() -> dict[str, str]:
    """Every generated file by its name."""
    made = {"routes.md": routes_page(), "settings.md": settings_page(), "openapi.json": openapi_text(ROUTES),
            "OCP_CONTRACT_v0.1.json": contract_text(ROUTES)}
    return made | {f"{surface}.md": surface_page(surface) for surface in TITLES}


# --- routes.md -------------------------------------------------------------------------------------------------------

def routes_page() -> str:
    built = sum(route.stability is not Stability.PLANNED for route in ROUTES)
    lines = ["# Routes", "", NOTE, f"{len(ROUTES)} routes, {built} of them built.  What each takes: the page of its surface.", ""]
    for surface, title in TITLES.items():
        lines += [f"## {title}", ""]
        lines += table(("Id", "Request", "Caller", "Stability", "Does"),
                       ((f"[`{route.id}`]({surface}.md#{anchor(route)})", f"`{route.method} {route.path}`", route.auth.value,
                         route.stability.value, route.summary) for route in of_surface(surface)))
    return "\n".join(lines)


def of_surface(surface: str) -> list[Route]:
    return [route for route in ROUTES if route.surface == surface]


def anchor(route: Route) -> str:
    """What a Markdown reader makes of the route's heading."""
    return route.id.replace(".", "")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table and the blank line after it; nothing when there are no rows."""
    listed = ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    return [f"| {' | '.join(head)} |", "|" + " --- |" * len(head), *listed, ""] if listed else []


# --- one page per surface --------------------------------------------------------------------------------------------

def surface_page(surface: str) -> str:
    lines = [f"# {TITLES[surface]}", "", NOTE]
    room = ""
    named: dict[str, dict[str, Any]] = {}
    for route in of_surface(surface):
        if route.room != room:
            room = route.room
            lines += [f"## `{room}`", ""]
        lines += route_lines(route, named)
    if named:
        lines += ["## Records", ""]
    for name in sorted(named):
        lines += [f"### Record {name}", "", *described(named[name]), *fields(named[name])]
    return "\n".join(lines)


def described(schema: Mapping[str, Any]) -> list[str]:
    return [str(schema["description"]), ""] if schema.get("description") else []


def route_lines(route: Route, named: dict[str, dict[str, Any]]) -> list[str]:
    lines = [f"### {route.id}", "", f"`{route.method} {route.path}`", "", route.summary, ""]
    facts = [f"caller: {route.auth.value}"] + ([f"permission: `{route.needs}`"] if route.needs else [])
    if route.body or route.body_raw or route.body_stream:
        facts.append(f"body at most {size(route.body_bytes_max)}")
    if route.stability is not Stability.STABLE:
        facts.append(route.stability.value)
    lines += ["; ".join(facts)[:1].upper() + "; ".join(facts)[1:] + ".", ""]
    if names := path_names(route):
        lines += ["Path: " + ", ".join(f"`{name}`" for name in names) + ".", ""]
    for word, record in (("Query", route.query), ("Body", route.body), ("Answer", route.reply)):
        if reference := record_ref(route, record):
            schema_of(route.record(record), named, PREFIX)
            lines += [f"{word}: {linked(reference)}.", ""]
    if codes := [f"`{code}` {status}" for status, listed in sorted(refusals(route).items()) for code in listed]:
        lines += ["Refusals: " + ", ".join(codes) + ".", ""]
    return lines


def size(count: int) -> str:
    for unit, word in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= unit:
            return f"{count / unit:g} {word}" if count % unit == 0 else f"{count / unit:.1f} {word}"
    return f"{count} bytes"


def linked(name: str) -> str:
    return f"[`{name}`](#record-{name.replace('.', '').lower()})"


def fields(schema: Mapping[str, Any]) -> list[str]:
    """The members of a record as a table."""
    required = schema.get("required", ())
    return table(("Member", "Type", "Required", "Bounds", "About"),
                 ((f"`{name}`", kind(member), "yes" if name in required else "", bounds(member), member.get("description", ""))
                  for name, member in schema.get("properties", {}).items()))


def kind(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return linked(str(schema["$ref"]).removeprefix(PREFIX))
    if "anyOf" in schema:
        return " or ".join(kind(shape) for shape in schema["anyOf"])
    if schema.get("type") == "array" and schema.get("items"):
        return "list of " + kind(schema["items"])
    return str(schema.get("type", "any"))


BOUNDS = {"minimum": "from {}", "maximum": "to {}", "minLength": "at least {} characters", "maxLength": "at most {} characters",
          "minItems": "at least {} entries", "maxItems": "at most {} entries", "pattern": "`{}`", "default": "default `{}`"}


def bounds(schema: Mapping[str, Any]) -> str:
    said = ["one of " + ", ".join(f"`{word}`" for word in schema["enum"])] if "enum" in schema else []
    return ", ".join(said + [words.format(shown(schema[name])) for name, words in BOUNDS.items() if name in schema])


def shown(value: object) -> object:
    return {True: "true", False: "false"}.get(value, value) if isinstance(value, bool) else value


# --- settings.md -----------------------------------------------------------------------------------------------------

def settings_page() -> str:
    lines = ["# Settings", "", NOTE, "A flag counts before a variable, that before the key of that name in `ocp.toml` in the "
             "data folder, the key before the default.", ""]
    for surface in dict.fromkeys(setting.surface for setting in SETTINGS):
        lines += [f"## {TITLES[surface]}", ""]
        lines += table(("Key", "Flag", "Variable", "Default", "Value", "About"),
                       ((f"`{row.name}`", f"`{row.flag}`" if row.flag else "", " ".join(f"`{name}`" for name in row.variables),
                         row.default_text(), row.allowed(), row.about) for row in SETTINGS if row.surface == surface))
    return "\n".join(lines)


# --- the command -----------------------------------------------------------------------------------------------------

def stale(made: Mapping[str, str]) -> list[str]:
    """Names of files that are missing, differ, or should not be there."""
    files = [path for path in FOLDER.iterdir() if path.is_file()] if FOLDER.is_dir() else []
    there = {path.name: path.read_text(encoding="utf-8") for path in files}
    return sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))


def main(arguments: list[str]) -> int:
    """The files are as they should be; with `--check` 1 when they were not."""
    parser = argparse.ArgumentParser(description="Write docs/generated from routes, records and settings.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    given = parser.parse_args(arguments)
    made = pages()
    wrong = stale(made)
    for name in wrong:
        sys.stdout.write(f"{'stale' if given.check else 'written' if name in made else 'removed'}: docs/generated/{name}\n")
        if not given.check:
            write(name, made)
    return 1 if wrong and given.check else 0


def write(name: str, made: Mapping[str, str]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    if name in made:
        (FOLDER / name).write_text(made[name], encoding="utf-8")
    else:
        (FOLDER / name).unlink()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
