"""Comparing secrets of any characters."""

from __future__ import annotations

import pytest

from ocp_node.base.compare import same


@pytest.mark.parametrize("left, right, equal", [
    ("a", "a", True), ("a", "b", False), ("", "", True), ("a", "", False), ("é", "é", True), ("é", "e", False),
    ("\ud800", "\ud800", True),
    (b"a", "a", True), (b"\xff", "\xff", False)])
def test_secrets_are_compared_as_bytes(left, right, equal):
    assert same(left, right) is equal
