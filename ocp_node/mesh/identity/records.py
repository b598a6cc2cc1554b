"""What travels under `/mesh/identity`."""

from __future__ import annotations

from ...base.records import record, wire

KEY = "[0-9a-f]{64}"


@record
class Proofs:
    """The statement signed by the key before and by the key after."""
    old: str = wire(pattern="[0-9a-f]{128}")
    new: str = wire(pattern="[0-9a-f]{128}")


@record
class Succession:
    """One step from key to key; both keys sign the six other members, in canonical JSON under the domain `succession`."""
    kind: str = wire(choices=("ocp.node.succession",))
    node_id: str = wire()
    old_public_key: str = wire(pattern=KEY)
    new_public_key: str = wire(pattern=KEY)
    signature_scheme: str = wire()
    rotated_at: str = wire()
    signatures: Proofs = wire()


@record
class NodeIdentity:
    """Who this node is."""
    status: str = wire()
    node_id: str = wire()
    display_name: str = wire()
    public_key: str = wire(pattern=KEY)
    did: str = wire(about="the same key as the seed directory spells it")
    fingerprint: str = wire(about="of the key: the first 16 bytes of its SHA-256")
    certificate: str = wire(default="", about="SHA-256 fingerprint of its self-signed certificate, in hex; \"\" for none")
    successions: list[Succession] = wire(items_max=16, about="oldest first; the last one leads to the key")
    node_succession: dict | None = wire(default=None, about="the last step for directories: POST /succession there")


@record
class Rotation:
    """The key to leave behind, and why."""
    public_key: str = wire(default="", length_max=64, about="the present key: when it is not that any more nothing is done; "
                                                            "\"\": whichever it is")
    reason: str = wire(default="", length_max=500, about="for the event")


@record
class Rotated:
    """The node has another key from now on."""
    status: str = wire()
    node_id: str = wire()
    did: str = wire()
    public_key: str = wire(pattern=KEY)
    previous_public_key: str = wire(pattern=KEY)
    succession: Succession = wire()
    node_succession: dict | None = wire(default=None, about="the same for directories: POST /succession there")
