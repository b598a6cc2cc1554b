"""Who this node is: its id, its name and its one Ed25519 key (OCP 0.1 identity).

The key lives in `identity.json` of the identity directory, readable by its owner alone.  It is made once.
A file that is there and not right stops the node: a new key would make every peer refuse it, for good.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base import jsontext, limits
from ..base.clock import instant_text
from ..base.errors import Malformed, Unusable
from . import documents, files, keys, node_did

if TYPE_CHECKING:
    from ..base.clock import Clock
    from ..base.ids import Ids

FILE = "identity.json"
NODE_SUCCESSION_SECONDS = 365 * 86_400     # how long a directory may take a statement of ours for good; it must end some day
SUCCESSIONS_MAX = 16             # past it the oldest is forgotten: a peer that slept through so many must be told by its operator
_NODE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}\Z")
_NODE_ID_RULE = "1 to 128 of A-Z a-z 0-9 . _ : - and a letter or digit first"
_NOT_IN_NODE_ID = re.compile(r"[^A-Za-z0-9._-]+")


class Identity:
    """One node's identity, which does not change.  The public members follow from the seed, so they cannot disagree with it."""

    __slots__ = ("node_id", "display_name", "seed", "created_at", "successions", "node_successions", "signature_scheme",
                 "public_key_hex", "did", "_secret")

    node_id: str
    display_name: str
    seed: bytes
    created_at: str
    successions: tuple[Mapping[str, Any], ...]             # how it came to this key, oldest first
    node_successions: tuple[Mapping[str, Any], ...]        # the same for directories
    signature_scheme: str
    public_key_hex: str
    did: str                                               # `node:did:key:z…`: the same key as the seed directory spells it
    _secret: bytes

    def __init__(self, node_id: str, display_name: str, seed: bytes, created_at: str = "",
                 successions: tuple[Mapping[str, Any], ...] = (), node_successions: tuple[Mapping[str, Any], ...] = ()) -> None:
        secret = keys.secret_key(seed)
        values = (node_id, display_name, seed, created_at, successions, node_successions, keys.SIGNATURE_SCHEME,
                  secret[32:].hex(), node_did.node_id(secret[32:]), secret)
        for name, value in zip(self.__slots__, values):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("an identity does not change")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identity) and self._facts() == other._facts()

    def __hash__(self) -> int:
        return hash(self._facts())

    def __repr__(self) -> str:
        return f"Identity({self.node_id!r}, {self.display_name!r}, {self.public_key_hex})"

    def _facts(self) -> tuple[object, ...]:
        return self.node_id, self.display_name, self.seed, self.created_at

    @property
    def public_key(self) -> bytes:
        """The 32 bytes of `public_key_hex`."""
        return self._secret[32:]

    def sign(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature of `message`."""
        return keys.sign_with(self._secret, message)


def is_node_id(text: str) -> bool:
    """Whether a text may be a node's id."""
    return _NODE_ID.match(text) is not None


def exists(directory: Path) -> bool:
    """The directory has an identity, readable and right or not."""
    return (directory / FILE).exists()


def load_or_create(directory: Path, ids: Ids, clock: Clock, node_id: str = "", display_name: str = "",
                   host_name: str = "") -> Identity:
    """The identity in the directory, or a new one that is now in it and on the disk.

    An explicit `node_id` or `display_name` wins over the stored one and is written back; without either, the id is made
    from the host name and the name is the host name.  `Unusable` names what is wrong; nothing is overwritten then.
    """
    node_id, display_name, host_name = node_id.strip(), display_name.strip(), host_name.strip()
    _check_given(node_id, display_name)
    files.make_directory(directory)
    path = directory / FILE
    raw = files.read(path)
    if raw is None:
        name = node_id or _node_id_of(host_name, ids)
        made = Identity(name, display_name or host_name or name, keys.new_seed(ids), clock.text())
        try:
            files.create(path, _text(_members(made)), ids)
            return made
        except FileExistsError:                             # another process of this node was first: its key is the key
            raw = files.read(path) or b""
    return _keep(path, raw, ids, node_id, display_name, host_name)


def rotate(directory: Path, identity: Identity, ids: Ids, clock: Clock) -> tuple[Identity, dict[str, Any]]:
    """The node has a new key; the old file stands beside it as `identity.json.rotated-<time>`.

    Gives the new identity and its succession: a statement signed by both keys (`documents.verify_succession`), the last of those
    kept in the new file.  At every moment one of the two files is a whole identity.  `Unusable` when the stored key is not
    `identity`'s.
    """
    path = directory / FILE
    raw = files.read(path)
    members = _parse(path, raw or b"")
    if _seed_of(members) != identity.seed:
        raise Unusable(f"{path} is not the identity in use; nothing was changed")
    seed, now = keys.new_seed(ids), clock.text()
    new = Identity(identity.node_id, identity.display_name, seed)
    succession = succession_of(identity, new, now)
    told = node_did.succession(identity, new, now, instant_text(clock.time() + NODE_SUCCESSION_SECONDS))
    made = Identity(identity.node_id, identity.display_name, seed, now, (*identity.successions, succession)[-SUCCESSIONS_MAX:],
                    (*identity.node_successions, told)[-SUCCESSIONS_MAX:])
    _keep_copy(path, raw or b"", now.replace("-", "").replace(":", ""), ids)
    files.replace(path, _text({**members, **_members(made), "successions": made.successions,
                               "node_successions": made.node_successions}), ids)
    return made, succession


def succession_of(old: Identity, new: Identity, at: str) -> dict[str, Any]:
    """The statement that one key of a node was followed by another, signed by both."""
    statement = {"kind": "ocp.node.succession", "node_id": old.node_id, "old_public_key": old.public_key_hex,
                 "new_public_key": new.public_key_hex, "signature_scheme": keys.SIGNATURE_SCHEME, "rotated_at": at}
    return {**statement, "signatures": {"old": documents.sign_document(old, documents.SUCCESSION, statement),
                                        "new": documents.sign_document(new, documents.SUCCESSION, statement)}}


def succession(directory: Path) -> dict[str, Any] | None:
    """The statement of the last rotation, or None when the key is the first."""
    path = directory / FILE
    raw = files.read(path)
    kept = _parse(path, raw).get("successions") if raw is not None else None
    return kept[-1] if isinstance(kept, list) and kept and isinstance(kept[-1], dict) else None


def _check_given(node_id: str, display_name: str) -> None:
    if node_id and not is_node_id(node_id):
        raise Unusable(f"node id {node_id[:200]!r} is not allowed: {_NODE_ID_RULE}")
    if len(display_name) > limits.DISPLAY_NAME_LENGTH_MAX or not display_name.isprintable():
        raise Unusable(f"display name is not allowed: one line of at most {limits.DISPLAY_NAME_LENGTH_MAX} characters")


def _node_id_of(host_name: str, ids: Ids) -> str:
    label = _NOT_IN_NODE_ID.sub("-", host_name.split(".", 1)[0]).strip("-._")[:100]
    return f"{label or 'node'}-{ids.hex(8)}"


def _keep(path: Path, raw: bytes, ids: Ids, node_id: str, display_name: str, host_name: str) -> Identity:
    members = _parse(path, raw)
    seed = _seed_of(members)
    if not seed or keys.public_key(seed) != keys.hex_bytes(members.get("public_key"), 32):
        raise _damaged(path, "its keys are missing or do not belong together")
    if members.get("signature_scheme") != keys.SIGNATURE_SCHEME:
        raise _damaged(path, f"its signature_scheme is not {keys.SIGNATURE_SCHEME}")
    name = node_id or _member(members, "node_id")
    if not is_node_id(name):
        raise Unusable(f"the node id in {path} is missing or not allowed ({_NODE_ID_RULE}): start once with --node-id NAME")
    shown = display_name or _member(members, "display_name") or host_name or name
    chain = _chain(members.get("successions"), name, members["public_key"])
    kept = Identity(name, shown, seed, _member(members, "created_at"), chain, _statements(members.get("node_successions")))
    given = {"node_id": node_id, "display_name": display_name}
    changed = {member: text for member, text in given.items() if text and text != members.get(member)}
    if changed:
        files.replace(path, _text({**members, **changed}), ids)
    return kept


def _parse(path: Path, raw: bytes) -> dict[str, Any]:
    try:
        members = jsontext.parse(raw)
    except Malformed:
        raise _damaged(path, "it is not JSON") from None
    if not isinstance(members, dict):
        raise _damaged(path, "it is not a JSON object")
    return members


def _chain(stored: object, node_id: str, public_key_hex: str) -> tuple[Mapping[str, Any], ...]:
    """The stored successions that lead, each from where the last ended, to this key of this node; others are of no use."""
    chain: list[Mapping[str, Any]] = []
    at: object = public_key_hex.lower()
    for link in reversed(stored[-SUCCESSIONS_MAX:] if isinstance(stored, list) else []):
        if not isinstance(link, dict) or link.get("node_id") != node_id or link.get("new_public_key") != at:
            break
        chain.insert(0, link)
        at = link.get("old_public_key")
    return tuple(chain)


def _statements(stored: object) -> tuple[Mapping[str, Any], ...]:
    """The stored statements for directories, of which `node_did.succession` makes no other members."""
    kept = stored[-SUCCESSIONS_MAX:] if isinstance(stored, list) else []
    return tuple(each for each in kept if isinstance(each, dict) and isinstance(each.get("succession/id"), str))


def _member(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    return value.strip() if isinstance(value, str) else ""


def _seed_of(members: Mapping[str, Any]) -> bytes:
    return keys.hex_bytes(members.get("private_key"), 32)


def _damaged(path: Path, what: str) -> Unusable:
    return Unusable(f"identity file {path} is damaged ({what}): restore it from a backup, or move it away to become a new node "
                    "that every peer must admit again")


def _members(identity: Identity) -> dict[str, Any]:
    return {"node_id": identity.node_id, "display_name": identity.display_name, "created_at": identity.created_at,
            "private_key": identity.seed.hex(), "public_key": identity.public_key_hex,
            "signature_scheme": identity.signature_scheme}


def _text(members: Mapping[str, Any]) -> bytes:
    return (json.dumps(members, indent=2, sort_keys=True) + "\n").encode()


def _keep_copy(path: Path, raw: bytes, stamp: str, ids: Ids) -> None:
    for count in range(100):
        copy = path.with_name(f"{path.name}.rotated-{stamp}" + (f"-{count}" if count else ""))
        try:
            return files.create(copy, raw, ids)
        except FileExistsError:                             # two rotations in one second, or one that was cut off
            continue
    raise Unusable(f"too many copies of {path} from {stamp}; move them away")
