"""Answers are what their routes say: the record that the contract prints describes the whole of every answer."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

from ocp_node.base.records import decode
from ocp_node.client.client import find


def fits(route_id: str, body: Any) -> Any:
    """The body, which its route's reply record reads without a problem and describes without a gap."""
    route = find(route_id)
    record = route.record(route.reply)
    decode(record, body)
    undescribed = list(gaps(record, body, "$"))
    assert not undescribed, f"{route_id} does not describe {undescribed}"
    return body


def gaps(record: type, body: dict[str, Any], path: str) -> typing.Iterator[str]:
    """Members of the body that the record does not name."""
    hints = typing.get_type_hints(record)
    fields = {item.metadata.get("name") or item.name: hints[item.name] for item in dataclasses.fields(record)}
    for name, value in body.items():
        if name not in fields:
            yield f"{path}.{name}"
        else:
            yield from _inside(fields[name], value, f"{path}.{name}")


def _inside(hint: Any, value: Any, path: str) -> typing.Iterator[str]:
    for option in typing.get_args(hint) or (hint,):
        if dataclasses.is_dataclass(option):
            for place, item in enumerate(value if isinstance(value, list) else [value]):
                if isinstance(item, dict):
                    yield from gaps(typing.cast(type, option), item, f"{path}[{place}]" if isinstance(value, list) else path)
