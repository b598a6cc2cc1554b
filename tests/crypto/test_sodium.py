"""Both ways to libsodium give the same bytes, and what is missing is said in one line."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ocp_node.base.errors import Unusable
from ocp_node.crypto import sodium

ROOT = Path(__file__).resolve().parents[2]


def way(name: str) -> sodium.Sodium:
    try:
        return {"pynacl": sodium.PyNaCl, "libsodium": sodium.SystemLibrary}[name]()
    except (ImportError, OSError) as fault:
        pytest.skip(f"{name} is not on this machine: {fault}")


@pytest.fixture(params=["pynacl", "libsodium"])
def backend(request: pytest.FixtureRequest) -> sodium.Sodium:
    return way(request.param)


# RFC 8032 section 7.1: seed, public key, message, signature
RFC_8032 = [
    ("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
    ("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
    ("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"),
]


@pytest.mark.parametrize("seed, public, message, signature", RFC_8032)
def test_signatures_are_those_of_rfc_8032(backend, seed, public, message, signature):
    secret = backend.secret_key(bytes.fromhex(seed))
    assert secret.hex() == seed + public
    assert backend.sign(secret, bytes.fromhex(message)).hex() == signature
    assert backend.verify(bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature))


def test_x25519_is_that_of_rfc_7748(backend):
    alice, bob = bytes(range(32)), bytes(range(32, 64))
    assert backend.exchange(alice, backend.exchange_public(bob)) == backend.exchange(bob, backend.exchange_public(alice))
    scalar = bytes.fromhex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4")
    point = bytes.fromhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")
    assert backend.exchange(scalar, point).hex() == "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"
    assert backend.exchange(scalar, bytes(32)) is None


def test_the_two_ways_agree_on_random_input():
    left, right = way("pynacl"), way("libsodium")
    dice = random.Random(20260323)
    for _ in range(50):
        seed, key, nonce = dice.randbytes(32), dice.randbytes(32), dice.randbytes(24)
        message = dice.randbytes(dice.randrange(600))
        secret = left.secret_key(seed)
        assert secret == right.secret_key(seed)
        signature = left.sign(secret, message)
        assert signature == right.sign(secret, message)
        assert left.verify(secret[32:], message, signature) and right.verify(secret[32:], message, signature)
        sealed = left.seal(key, message, nonce)
        assert sealed == right.seal(key, message, nonce)
        assert left.open(key, sealed, nonce) == right.open(key, sealed, nonce) == message


def test_many_threads_may_verify_at_once(backend):
    secret = backend.secret_key(bytes(32))
    messages = [b"%d" % number for number in range(20)]
    signatures = [backend.sign(secret, message) for message in messages]
    wrong = []

    def check() -> None:
        for _ in range(20):
            for number, message in enumerate(messages):
                if not backend.verify(secret[32:], message, signatures[number]):
                    wrong.append(number)
                if backend.verify(secret[32:], message, signatures[number - 1]):
                    wrong.append(-number)

    threads = [threading.Thread(target=check) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def absent() -> sodium.Sodium:
    raise ImportError("no module named nacl")


def too_old() -> sodium.Sodium:
    raise AttributeError("undefined symbol: crypto_secretbox_easy")


def test_the_first_way_that_loads_is_taken(backend):
    assert sodium.first_of((absent, too_old, lambda: backend)) is backend


def test_with_no_way_at_all_the_message_names_both_commands():
    with pytest.raises(Unusable) as caught:
        sodium.first_of((absent, lambda: sodium.SystemLibrary(("libnothing.so.0",))))
    line = str(caught.value)
    assert isinstance(caught.value, sodium.NoSignatures)
    assert "pip install pynacl" in line and "apt install python3-nacl" in line and "\n" not in line


def test_only_the_compiled_binding_of_pynacl_is_imported():
    way("pynacl")
    program = ("import sys; from ocp_node.crypto import keys; keys.backend_name(); "
               "print(sorted(name for name in sys.modules if name.startswith('nacl') or name in ('hashlib', 'hmac', 'base64')))")
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['nacl', 'nacl._sodium']"


def test_without_pynacl_the_system_library_signs():
    way("libsodium")
    program = ("import sys; sys.modules['nacl'] = None; from ocp_node.crypto import keys; "
               "print(keys.backend_name(), keys.sign(bytes(32), b'x').hex())")
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    library = way("libsodium")
    assert done.stdout.split() == ["libsodium", library.sign(library.secret_key(bytes(32)), b"x").hex()]
