"""The check of one advertisement's signature, with PyNaCl and cbor2, as a FastAPI programmer would write it."""

import base64

import cbor2
from nacl.exceptions import CryptoError
from nacl.signing import VerifyKey

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def _key(text: str) -> bytes:
    number = 0
    for letter in text[1:]:
        number = number * 58 + _ALPHABET.index(letter)
    return number.to_bytes(34, "big")[2:]


def verified(document: dict) -> bool:
    """The document's signature is its key's."""
    signature = base64.urlsafe_b64decode(document["signature"]["value"] + "==")
    members = {name: value for name, value in document.items() if name != "signature"}
    signed = b"node-advertisement.v1\0" + cbor2.dumps(members, canonical=True)
    try:
        VerifyKey(_key(document["key/public"])).verify(signed, signature)
    except CryptoError:
        return False
    return True
