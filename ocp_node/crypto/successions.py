"""Chains of key successions: who has pinned one of a node's keys follows it to the present one.  Pure.

A link is what `identity.rotate` makes: the old key names the new one and the new one agrees (`documents.verify_succession`).
Only the holder of the pinned key can lead away from it, so a key that was left behind leads nobody any more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from . import documents
from .identity import SUCCESSIONS_MAX

KIND = "ocp.node.succession"
_KEY, _SIGNATURE = re.compile(r"[0-9a-f]{64}\Z"), re.compile(r"[0-9a-f]{128}\Z")
_MEMBERS = frozenset({"kind", "node_id", "old_public_key", "new_public_key", "signature_scheme", "rotated_at", "signatures"})
_PROOFS = frozenset({"old", "new"})
_TIME = re.compile(r"[0-9T:.Z+-]{1,40}\Z")


def follows(chain: object, peer_id: str, pinned: str, presented: str) -> bool:
    """Do these successions of that very node lead from the pinned key to the presented one?

    The chain comes from a stranger: at most 16 links of a closed shape, oldest first, each going on where the last ended, no key
    twice, the last one naming the presented key.  No signature is checked before that holds, and none after the first bad one.
    """
    way = _way(chain, peer_id, pinned, presented)
    return bool(way) and all(documents.verify_succession(link) for link in way)


def _way(chain: object, peer_id: str, pinned: str, presented: str) -> list[Mapping[str, Any]]:
    """The links from the pinned key on; none when the chain is not one, or does not lead there."""
    if not isinstance(chain, list) or not 0 < len(chain) <= SUCCESSIONS_MAX or not all(_is_link(link, peer_id) for link in chain):
        return []
    keys = [chain[0]["old_public_key"], *(link["new_public_key"] for link in chain)]
    joined = all(link["old_public_key"] == before for link, before in zip(chain, keys, strict=False))
    if not joined or len(set(keys)) != len(keys) or keys[-1] != presented or pinned not in keys[:-1]:
        return []
    return chain[keys.index(pinned):]


def _is_link(link: object, peer_id: str) -> bool:
    """The shape of one statement of this node, with nothing beside it."""
    if not isinstance(link, Mapping) or link.keys() != _MEMBERS or link["kind"] != KIND or link["node_id"] != peer_id:
        return False
    proofs, at = link["signatures"], link["rotated_at"]
    return (_matches(_TIME, at) and isinstance(proofs, Mapping) and proofs.keys() == _PROOFS
            and all(_matches(_SIGNATURE, proof) for proof in proofs.values())
            and _matches(_KEY, link["old_public_key"]) and _matches(_KEY, link["new_public_key"]))


def _matches(form: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and form.match(value) is not None
