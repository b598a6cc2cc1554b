"""Output in memory is bounded."""

import random

import pytest

from ocp_node.processes.kept import Kept


def kept(bytes_max, keep, *parts):
    made = Kept(bytes_max, keep)
    for part in parts:
        made.put(part)
    return made


def test_what_fits_is_kept_as_it_came():
    made = kept(10, "ends", b"hello", b"", b"world")
    assert (made.value(), made.truncated, made.came) == (b"helloworld", False, 10)


def test_the_head_is_kept_and_the_rest_counted():
    made = kept(10, "head", b"0123456", b"789abcdef")
    assert (made.value(), made.truncated, made.came) == (b"0123456789", True, 16)


def test_both_ends_are_kept_with_a_line_between_them():
    made = kept(2048, "ends", b"first\n", b"x" * 100_000, b"\nlast")
    value = made.value()
    assert value.startswith(b"first\n") and value.endswith(b"\nlast") and len(value) <= 2048
    left_out = int(value.partition(b"\n[")[2].partition(b" bytes")[0])
    assert left_out == made.came - (len(value) - len(b"\n[%d bytes left out]\n" % left_out))


@pytest.mark.parametrize("keep", ["head", "ends"])
def test_no_character_is_cut_where_output_is_left_out(keep):
    for shift in range(4):
        made = kept(1024, keep, b"a" * shift, "€".encode() * 2000, "😀".encode() * 2000)
        made.value().decode()


def test_however_the_bytes_are_split_the_same_is_kept():
    data = bytes(random.Random(7).randrange(32, 127) for _ in range(5000))
    for seed in range(20):
        chance, made, at = random.Random(seed), Kept(1024, "ends"), 0
        while at < len(data):
            step = chance.randrange(1, 900)
            made.put(data[at:at + step])
            at += step
        assert made.value() == kept(1024, "ends", data).value(), f"seed {seed}"


def test_memory_stays_bounded_while_gigabytes_pass():
    made, chunk = Kept(4096, "ends"), bytes(65_536)
    for _ in range(2000):
        made.put(chunk)
        assert len(made._head) + len(made._tail) <= 4096
    assert made.came == 2000 * 65_536
