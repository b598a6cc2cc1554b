"""Chains of key successions: what leads from a pinned key to another one, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ocp_node.crypto import successions
from ocp_node.crypto.identity import SUCCESSIONS_MAX, succession_of
from tests.support.peer import TrialPeer

Chain = list[Any]


def key(number: int, name: str = "gamma") -> str:
    return TrialPeer(name, number=number).identity.public_key_hex


def link(old: int, new: int, name: str = "gamma", at: str = "2026-01-01T00:00:00Z") -> dict[str, Any]:
    return succession_of(TrialPeer(name, number=old).identity, TrialPeer(name, number=new).identity, at)


def chain(*numbers: int) -> Chain:
    return [link(old, new) for old, new in zip(numbers, numbers[1:], strict=False)]


def follows(links: object, pinned: int = 0, presented: int = 2) -> bool:
    return successions.follows(links, "gamma", key(pinned), key(presented))


@pytest.mark.parametrize("pinned", [0, 1, 2])
def test_every_former_key_of_a_chain_leads_to_its_last(pinned: int) -> None:
    assert follows(chain(0, 1, 2, 3), pinned, 3)


def test_a_chain_of_the_longest_kept_length_is_followed_and_a_longer_one_is_not() -> None:
    assert follows(chain(*range(SUCCESSIONS_MAX + 1)), 0, SUCCESSIONS_MAX)
    assert not follows(chain(*range(SUCCESSIONS_MAX + 2)), 1, SUCCESSIONS_MAX + 1)


def changed(**members: Any) -> Chain:
    return [link(0, 1), {**link(1, 2), **members}]


@pytest.mark.parametrize("links", [
    pytest.param([], id="empty"),
    pytest.param(None, id="nothing"),
    pytest.param({"0": link(0, 2)}, id="no list"),
    pytest.param("x" * 1000, id="text"),
    pytest.param([None], id="no statements"),
    pytest.param(chain(1, 2), id="begins after the pinned key"),
    pytest.param(chain(3, 1, 2), id="begins at another key"),
    pytest.param(chain(0, 1), id="ends before the presented key"),
    pytest.param(chain(0, 1, 2, 3), id="goes on beyond the presented key"),
    pytest.param([link(0, 1), link(3, 2)], id="has a gap"),
    pytest.param([link(1, 2), link(0, 1)], id="newest first"),
    pytest.param(chain(0, 1, 0, 2), id="comes back to a key"),
    pytest.param(chain(0, 1, 2, 1, 2), id="ends in a loop"),
    pytest.param([link(0, 2), link(0, 2)], id="says it twice"),
    pytest.param([link(0, 1, "delta"), link(1, 2, "delta")], id="of another node"),
    pytest.param([{**each, "node_id": "gamma"} for each in (link(0, 1, "delta"), link(1, 2, "delta"))], id="of another, renamed"),
    pytest.param(changed(rotated_at="2027-01-01T00:00:00Z"), id="another time"),
    pytest.param(changed(rotated_at="x" * 5000), id="a time without end"),
    pytest.param(changed(rotated_at=5), id="a time that is a number"),
    pytest.param(changed(extra="x" * 5000), id="a member beside"),
    pytest.param(changed(kind="ocp.node.other"), id="another kind"),
    pytest.param(changed(signature_scheme="none"), id="another scheme"),
    pytest.param(changed(signatures={"old": "0" * 128, "new": link(1, 2)["signatures"]["new"]}), id="not signed by the old key"),
    pytest.param(changed(signatures={"new": "0" * 128, "old": link(1, 2)["signatures"]["old"]}), id="not signed by the new key"),
    pytest.param(changed(signatures={"old": link(1, 2)["signatures"]["old"]}), id="one signature"),
    pytest.param(changed(signatures={**link(1, 2)["signatures"], "third": ""}), id="three signatures"),
    pytest.param(changed(signatures=["0" * 128, "0" * 128]), id="signatures in a list"),
    pytest.param(changed(old_public_key=[key(1)]), id="a key that is a list"),
    pytest.param(changed(new_public_key=key(2).upper()), id="a key in capitals"),
])
def test_what_is_no_chain_from_the_pinned_key_to_the_presented_one_is_not_followed(links: object) -> None:
    assert successions.follows(links, "gamma", key(0), key(2)) is False


def test_nothing_leads_on_from_no_key_or_to_the_same_one() -> None:
    assert not successions.follows(chain(0, 1, 2), "gamma", "", key(2))
    assert not follows(chain(0, 1, 2), 2, 2)


def test_a_forged_link_costs_one_signature_check_and_a_misshapen_chain_none(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    check: Callable[[Any], bool] = successions.documents.verify_succession
    monkeypatch.setattr(successions.documents, "verify_succession", lambda each: asked.append(each) or check(each))
    forged = [{**each, "rotated_at": "2030-01-01T00:00:00Z"} for each in chain(*range(SUCCESSIONS_MAX + 1))]
    assert not follows(forged, 0, SUCCESSIONS_MAX) and len(asked) == 1
    assert not follows(forged[::-1], 0, SUCCESSIONS_MAX) and len(asked) == 1
