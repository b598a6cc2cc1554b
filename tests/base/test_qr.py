"""QR codes, module by module beside a well-known library's."""

from __future__ import annotations

import random

import pytest

from ocp_node.base import qr


@pytest.mark.parametrize("length", [1, 17, 18, 32, 53, 60, 78, 106, 134, 154, 192, 200, 230, 271, 272, 321, 367, 425, 458, 520])
def test_a_code_is_drawn_as_the_standard_says(length):
    qrcode = pytest.importorskip("qrcode", reason="the package qrcode is needed to compare")
    data = random.Random(length).randbytes(length)
    for mask in range(8):
        theirs = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_L, border=0, mask_pattern=mask)
        theirs.add_data(qrcode.util.QRData(data, mode=qrcode.util.MODE_8BIT_BYTE))
        theirs.make(fit=True)
        assert qr.modules(data, mask) == theirs.get_matrix()


def test_a_code_for_a_terminal_has_light_around_it_and_two_modules_a_line():
    lines = qr.terminal(b"ocp").split("\n")
    assert len(set(map(len, lines))) == 1 and set(lines[0]) == {"\u2588"} and len(lines) == 12


def test_what_does_not_fit_says_so():
    with pytest.raises(qr.TooLong):
        qr.modules(bytes(600))
