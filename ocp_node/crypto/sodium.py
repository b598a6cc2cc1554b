"""libsodium by the first way this machine offers: PyNaCl's own binding, else the system's library.

Both give the same bytes.  Only the compiled binding of PyNaCl is imported: its Python modules cost
20 ms at start and do nothing we need.  Both let other threads run while C code computes.
Callers (`keys.py`, `boxes.py`) have checked every length before a pointer gets here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ..base.errors import Unusable

KEY_BYTES = 32
SECRET_KEY_BYTES = 64           # of Ed25519 as libsodium keeps it: the seed, then the public key
SIGNATURE_BYTES = 64
NONCE_BYTES = 24
TAG_BYTES = 16

# Newest first; sonames only, so that the loader's own search path decides.
LIBRARIES = ("libsodium.so.26", "libsodium.so.23", "libsodium.so", "libsodium.26.dylib", "libsodium.23.dylib", "libsodium.dylib",
             "/opt/homebrew/lib/libsodium.dylib", "/usr/local/lib/libsodium.dylib")     # macOS does not look there


class NoSignatures(Unusable):
    """Neither PyNaCl nor libsodium can be loaded: this node could not sign anything."""

    def __init__(self) -> None:
        super().__init__("no Ed25519 library was found: run `pip install pynacl`, "
                         "or on Debian and Ubuntu `apt install python3-nacl`")


class Sodium(Protocol):
    """What the node takes from libsodium.  Lengths are right when these are called."""
    name: str

    def secret_key(self, seed: bytes) -> bytes:
        """The seed followed by its public key."""

    def sign(self, secret_key: bytes, message: bytes) -> bytes:
        """The 64 bytes of a pure Ed25519 signature."""

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether the signature holds, by libsodium's rules (small-order keys and S >= L never do)."""

    def seal(self, key: bytes, plaintext: bytes, nonce: bytes) -> bytes:
        """XSalsa20-Poly1305: the tag, then the cipher text."""

    def open(self, key: bytes, sealed: bytes, nonce: bytes) -> bytes | None:
        """The plain text, or None when it was not sealed with this key and nonce."""

    def exchange_public(self, secret: bytes) -> bytes:
        """The X25519 public key of a secret."""

    def exchange(self, secret: bytes, public: bytes) -> bytes | None:
        """The X25519 shared secret, or None when `public` is of small order."""


@functools.cache
def sodium() -> Sodium:
    """The first way that works, looked for once.  `NoSignatures` when there is none."""
    return first_of((PyNaCl, SystemLibrary))


def first_of(ways: Sequence[Callable[[], Sodium]]) -> Sodium:
    """The first of `ways` that loads.  `NoSignatures` when none does."""
    for way in ways:
        try:
            return way()
        except (ImportError, OSError, AttributeError):      # absent, for another processor, or too old to have a function
            continue
    raise NoSignatures


class PyNaCl:
    """libsodium as PyNaCl brings or links it."""

    def __init__(self) -> None:
        from nacl import _sodium  # type: ignore[attr-defined]
        self._c: Any = _sodium.lib
        self._ffi: Any = _sodium.ffi
        self.name = "pynacl"
        if self._c.sodium_init() < 0:
            raise OSError("libsodium does not start")

    def _room(self, count: int) -> Any:
        return self._ffi.new("unsigned char[]", count)

    def _bytes(self, room: Any, start: int = 0, stop: int | None = None) -> bytes:
        return bytes(self._ffi.buffer(room)[start:stop])

    def secret_key(self, seed: bytes) -> bytes:
        public, secret = self._room(KEY_BYTES), self._room(SECRET_KEY_BYTES)
        self._c.crypto_sign_seed_keypair(public, secret, seed)
        return self._bytes(secret)

    def sign(self, secret_key: bytes, message: bytes) -> bytes:
        signed = self._room(SIGNATURE_BYTES + len(message))
        self._c.crypto_sign(signed, self._ffi.NULL, message, len(message), secret_key)
        return self._bytes(signed, 0, SIGNATURE_BYTES)

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        signed = signature + message                        # PyNaCl binds only the attached form
        opened = self._room(len(signed))
        return bool(self._c.crypto_sign_open(opened, self._ffi.NULL, signed, len(signed), public_key) == 0)

    def seal(self, key: bytes, plaintext: bytes, nonce: bytes) -> bytes:
        sealed = self._room(TAG_BYTES + len(plaintext))
        self._c.crypto_secretbox_easy(sealed, plaintext, len(plaintext), nonce, key)
        return self._bytes(sealed)

    def open(self, key: bytes, sealed: bytes, nonce: bytes) -> bytes | None:
        plaintext = self._room(max(1, len(sealed) - TAG_BYTES))
        if self._c.crypto_secretbox_open_easy(plaintext, sealed, len(sealed), nonce, key) != 0:
            return None
        return self._bytes(plaintext, 0, len(sealed) - TAG_BYTES)

    def exchange_public(self, secret: bytes) -> bytes:
        public = self._room(KEY_BYTES)
        self._c.crypto_scalarmult_base(public, secret)
        return self._bytes(public)

    def exchange(self, secret: bytes, public: bytes) -> bytes | None:
        shared = self._room(KEY_BYTES)
        return self._bytes(shared) if self._c.crypto_scalarmult(shared, secret, public) == 0 else None


class SystemLibrary:
    """The machine's own libsodium, without PyNaCl: where no wheel exists, as on 32-bit ARM."""

    def __init__(self, names: Sequence[str] = LIBRARIES) -> None:
        import ctypes
        self._ctypes = ctypes
        library = self._load(names)
        self.name = "libsodium"
        text, count, whole = ctypes.c_char_p, ctypes.c_ulonglong, ctypes.c_int
        room, size = ctypes.c_char_p, ctypes.c_void_p

        def bound(name: str, *arguments: Any) -> Callable[..., int]:
            function = getattr(library, name)
            function.argtypes, function.restype = arguments, whole
            return function

        self._pair = bound("crypto_sign_seed_keypair", room, room, text)
        self._sign = bound("crypto_sign_detached", room, size, text, count, text)
        self._verify = bound("crypto_sign_verify_detached", text, text, count, text)
        self._seal = bound("crypto_secretbox_easy", room, text, count, text, text)
        self._open = bound("crypto_secretbox_open_easy", room, text, count, text, text)
        self._base = bound("crypto_scalarmult_base", room, text)
        self._multiply = bound("crypto_scalarmult", room, text, text)
        if bound("sodium_init")() < 0:
            raise OSError("libsodium does not start")

    def _load(self, names: Sequence[str]) -> Any:
        for name in names:
            try:
                return self._ctypes.CDLL(name)
            except OSError:
                continue
        raise OSError("no libsodium on this machine")

    def _room(self, count: int) -> Any:
        return self._ctypes.create_string_buffer(count)

    def secret_key(self, seed: bytes) -> bytes:
        public, secret = self._room(KEY_BYTES), self._room(SECRET_KEY_BYTES)
        self._pair(public, secret, seed)
        return bytes(secret.raw)

    def sign(self, secret_key: bytes, message: bytes) -> bytes:
        signature = self._room(SIGNATURE_BYTES)
        self._sign(signature, None, message, len(message), secret_key)
        return bytes(signature.raw)

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        return self._verify(signature, message, len(message), public_key) == 0

    def seal(self, key: bytes, plaintext: bytes, nonce: bytes) -> bytes:
        sealed = self._room(TAG_BYTES + len(plaintext))
        self._seal(sealed, plaintext, len(plaintext), nonce, key)
        return bytes(sealed.raw)

    def open(self, key: bytes, sealed: bytes, nonce: bytes) -> bytes | None:
        plaintext = self._room(max(1, len(sealed) - TAG_BYTES))
        if self._open(plaintext, sealed, len(sealed), nonce, key) != 0:
            return None
        return bytes(plaintext.raw[:len(sealed) - TAG_BYTES])

    def exchange_public(self, secret: bytes) -> bytes:
        public = self._room(KEY_BYTES)
        self._base(public, secret)
        return bytes(public.raw)

    def exchange(self, secret: bytes, public: bytes) -> bytes | None:
        shared = self._room(KEY_BYTES)
        return bytes(shared.raw) if self._multiply(shared, secret, public) == 0 else None
