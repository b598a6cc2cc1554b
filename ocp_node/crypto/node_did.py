"""The seed directory's names and signatures: `node:did:key:` ids, signing inputs, signature values.

One key has one spelling per role: base58btc of the codec ED 01 and the 32 key bytes behind a `z`.
An artifact is signed over its domain, a zero byte and the canonical bytes of the artifact without its signature.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from ..base.digest import sha256
from ..base.errors import Malformed, Problem, Refusal
from . import base64url, canonical, keys

if TYPE_CHECKING:
    from .identity import Identity

NODE = "node:did:key:"
PARTICIPANT = "participant:did:key:"
BARE = "did:key:"
ADVERTISEMENT = "node-advertisement.v1"
SUCCESSION = "node-succession.v1"
SUCCESSION_PROOFS = ("proof/old", "proof/new")
HANDSHAKE = "peer-handshake.v1"
HANDSHAKE_UNSIGNED = ("signature", "protocol/version", "transport/profile")     # as the published handshake vector has it

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES = bytes(_ALPHABET.encode().find(letter) & 0xFF for letter in range(256))     # 255: not a letter of it
_CODEC = b"\xed\x01"
_KEY_TEXT_LENGTH = 48           # of every Ed25519 key: "z6Mk" and 44 more
_BASE58_LENGTH_MAX = 256        # reading is quadratic in the length


def base58(raw: bytes) -> str:
    """Bitcoin's base58; each leading zero byte is a leading `1`."""
    number, letters = int.from_bytes(raw, "big"), []
    while number:
        number, rest = divmod(number, 58)
        letters.append(_ALPHABET[rest])
    return "1" * (len(raw) - len(raw.lstrip(b"\0"))) + "".join(reversed(letters))


def base58_bytes(text: str) -> bytes:
    """The bytes of a base58 text.  ValueError for a letter outside the alphabet and for more than 256 letters."""
    if len(text) > _BASE58_LENGTH_MAX:
        raise ValueError("too long for base58")
    values = text.encode().translate(_VALUES)
    if b"\xff" in values:
        raise ValueError("not base58")
    number = 0
    for value in values:
        number = number * 58 + value
    return b"\0" * (len(text) - len(text.lstrip("1"))) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def key_text(public_key: bytes) -> str:
    """`z6Mk…`: the multibase form of a 32-byte Ed25519 public key, the directory's `key/public`."""
    return "z" + base58(_CODEC + public_key)


def node_id(public_key: bytes) -> str:
    """`node:did:key:z6Mk…`, 61 characters."""
    return NODE + key_text(public_key)


def public_key(text: str, role: str = NODE) -> bytes:
    """The 32 key bytes in an id of this role (`NODE`, `PARTICIPANT`, `BARE`, or "" for the key text alone).

    `Malformed` with code `not-canonical-did-key` for every other spelling: one key has one name.
    """
    key = text[len(role):]
    if text.startswith(role) and len(key) == _KEY_TEXT_LENGTH and key[0] == "z":
        try:
            raw = base58_bytes(key[1:])
        except ValueError:
            raw = b""
        if len(raw) == 34 and raw.startswith(_CODEC):       # no leading zero byte, so no second text decodes to these
            return raw[2:]
    raise Malformed([Problem((), "not-canonical-did-key")])


def problem(text: str) -> str:
    """`not-canonical-did-key`, or "" for a canonical node id: the `check` of a record's field."""
    try:
        public_key(text)
    except Malformed:
        return "not-canonical-did-key"
    return ""


def signing_input(domain: str, value: Mapping[str, Any], unsigned: Collection[str] = ("signature",)) -> bytes:
    """What node artifacts are signed over: the domain, a zero byte, deterministic CBOR without the `unsigned` members."""
    return domain.encode() + b"\0" + canonical.cbor(_without(value, unsigned))


def json_signing_input(domain: str, value: Mapping[str, Any], unsigned: Collection[str] = ("signature",), *,
                       nfc: bool = False) -> bytes:
    """What catalogue artifacts are signed over: canonical JSON, behind the domain and a zero byte where there is a domain.

    Passports and revocations leave out `signature` and `issuer_delegation`, endorsements `signatures`, and query
    attestations are `nfc`.
    """
    separator = domain.encode() + b"\0" if domain else b""
    return separator + canonical.jcs(_without(value, unsigned), nfc=nfc)


def _without(value: Mapping[str, Any], unsigned: Collection[str]) -> dict[str, Any]:
    return {name: member for name, member in value.items() if name not in unsigned}


def signature_text(signature: bytes) -> str:
    """A signature as the directory writes it: 86 characters of base64url."""
    return base64url.encode(signature)


def signature_bytes(text: object) -> bytes:
    """The 64 bytes of a signature value.  `Refusal("invalid-signature")` unless it is their one text."""
    try:
        if isinstance(text, str) and len(text) == 86:
            return base64url.decode(text)
    except ValueError:
        pass
    raise Refusal("invalid-signature")


def check(public: bytes, message: bytes, signature: object) -> None:
    """The value `signature` is one of `message` by the holder of `public`, or `Refusal("invalid-signature")`."""
    if not keys.verify(public, message, signature_bytes(signature)):
        raise Refusal("invalid-signature")


def sign_artifact(identity: Identity, domain: str, artifact: Mapping[str, Any],
                  unsigned: Collection[str] = ("signature",)) -> dict[str, Any]:
    """The artifact with its member `signature` made by this node; an earlier one is replaced."""
    value = signature_text(identity.sign(signing_input(domain, artifact, unsigned)))
    return {**_without(artifact, ("signature",)), "signature": {"alg": "ed25519", "value": value}}


def check_artifact(public: bytes, domain: str, artifact: Mapping[str, Any], unsigned: Collection[str] = ("signature",)) -> None:
    """The artifact bears the signature of `public`, or `Refusal("invalid-signature")`.

    `Malformed` when it holds what cannot be encoded (an integer beyond 64 bits).
    """
    signature = artifact.get("signature")
    if not isinstance(signature, Mapping) or signature.get("alg") != "ed25519":
        raise Refusal("invalid-signature")
    check(public, signing_input(domain, artifact, unsigned), signature.get("value"))


def reduced(artifact: Mapping[str, Any]) -> dict[str, Any]:
    """The artifact with nothing in `signature` but `alg` and `value`: what else stood there was signed by nobody."""
    kept = {name: artifact["signature"][name] for name in ("alg", "value")}
    return {name: kept if name == "signature" else member for name, member in artifact.items()}


def signing_input_and_digest(domain: str, artifact: Mapping[str, Any]) -> tuple[bytes, str]:
    """`signing_input` of an artifact and its `digest`, encoded once for both."""
    members = canonical.cbor_members(dict(artifact))
    unsigned = [pair for name, pair in members.items() if name != "signature"]
    whole = sha256(canonical.cbor_joined(members.values())).digest()
    return domain.encode() + b"\0" + canonical.cbor_joined(unsigned), base64url.encode(whole)


def digest(artifact: Mapping[str, Any]) -> str:
    """SHA-256 of the whole artifact's deterministic CBOR as base64url: its ETag, whatever its spelling."""
    return base64url.encode(sha256(canonical.cbor(dict(artifact))).digest())


def succession(old: Identity, new: Identity, issued_at: str, expires_at: str) -> dict[str, Any]:
    """The statement that the node of the old key goes on as that of the new one (`node-succession.v1`), signed by both."""
    made: dict[str, Any] = {
        "schema": SUCCESSION, "schema/v": 1, "old/node-id": old.did, "old/key-public": old.did.removeprefix(NODE),
        "new/node-id": new.did, "new/key-public": new.did.removeprefix(NODE), "succession/mode": "planned-rotation",
        "issued-at": issued_at, "expires-at": expires_at}
    made["succession/id"] = "node-succession:sha256:" + base64url.encode(sha256(canonical.jcs(made)).digest())
    message = json_signing_input(SUCCESSION, made, SUCCESSION_PROOFS)
    proofs = {f"proof/{side}": {"alg": "ed25519", "value": signature_text(identity.sign(message))}
              for side, identity in (("old", old), ("new", new))}
    return {**made, **proofs}
