"""QR codes (ISO/IEC 18004): bytes, error correction level L, versions 1 to 15; for a terminal or a page, without a library."""

from __future__ import annotations

from collections.abc import Iterator

# Version: correction codewords of a block, then (blocks, data codewords of each).
_BLOCKS: dict[int, tuple[int, tuple[tuple[int, int], ...]]] = {
    1: (7, ((1, 19),)), 2: (10, ((1, 34),)), 3: (15, ((1, 55),)), 4: (20, ((1, 80),)), 5: (26, ((1, 108),)),
    6: (18, ((2, 68),)), 7: (20, ((2, 78),)),
    8: (24, ((2, 97),)), 9: (30, ((2, 116),)), 10: (18, ((2, 68), (2, 69))), 11: (20, ((4, 81),)), 12: (24, ((2, 92), (2, 93))),
    13: (26, ((4, 107),)),
    14: (30, ((3, 115), (1, 116))), 15: (22, ((5, 87), (1, 88))),
}
_ALIGNED = {1: (), 2: (6, 18), 3: (6, 22), 4: (6, 26), 5: (6, 30), 6: (6, 34), 7: (6, 22, 38), 8: (6, 24, 42), 9: (6, 26, 46),
            10: (6, 28, 50),
            11: (6, 30, 54), 12: (6, 32, 58), 13: (6, 34, 62), 14: (6, 26, 46, 66), 15: (6, 26, 48, 70)}
QUIET = 2                     # light modules around; scanners manage with less than the four of the standard

Grid = list[list[bool]]


class TooLong(ValueError):
    """More bytes than version 15 holds."""


def modules(data: bytes, mask: int | None = None) -> Grid:
    """The dark (True) and light modules of the smallest code that holds the bytes, row by row, without a quiet zone."""
    version = next((number for number in _BLOCKS if len(data) <= _room(number)), 0)
    if not version:
        raise TooLong(f"{len(data)} bytes are too many for a QR code here")
    codewords = _interleaved(version, _data_codewords(version, data))
    if mask is not None:
        return _drawn(version, codewords, mask)
    return min((_drawn(version, codewords, number) for number in range(8)), key=_penalty)


def terminal(data: bytes) -> str:
    """The code as lines of text, two modules in a character's height, dark on light."""
    grid = modules(data)
    size = len(grid) + 2 * QUIET
    wide = [[False] * size for _ in range(QUIET)] + [[False] * QUIET + row + [False] * QUIET
                                                     for row in grid] + [[False] * size for _ in range(QUIET + 1)]
    blocks = {(False, False): "\u2588", (False, True): "\u2580", (True, False): "\u2584", (True, True): " "}
    return "\n".join("".join(blocks[(upper, lower)] for upper, lower in zip(wide[row], wide[row + 1]))
                     for row in range(0, size - size % 2, 2))


def _room(version: int) -> int:
    """Bytes that fit behind mode and length."""
    return _capacity(version) - (2 if version < 10 else 3)


def _capacity(version: int) -> int:
    return sum(count * size for count, size in _BLOCKS[version][1])


def _data_codewords(version: int, data: bytes) -> bytes:
    """Mode, length, the bytes, terminator and padding."""
    length_bits = 8 if version < 10 else 16
    bits = (0b0100 << length_bits | len(data)) << 8 * len(data) | int.from_bytes(data, "big")
    count = 4 + length_bits + 8 * len(data)
    total = 8 * _capacity(version)
    ended = min(4, total - count)
    bits, count = bits << ended, count + ended
    bits, count = bits << -count % 8, count + -count % 8
    made = bits.to_bytes(count // 8, "big")
    padding = b"\xec\x11" * (total // 8)
    return made + padding[: total // 8 - len(made)]


def _interleaved(version: int, data: bytes) -> bytes:
    """Blocks with their correction, codeword by codeword in turn."""
    correction, groups = _BLOCKS[version]
    generator = _generator(correction)
    blocks, at = [], 0
    for count, size in groups:
        for _ in range(count):
            blocks.append(data[at:at + size])
            at += size
    checks = [_remainder(block, generator) for block in blocks]
    longest = max(len(block) for block in blocks)
    return bytes([block[index] for index in range(longest) for block in blocks if index < len(block)]
                 + [check[index] for index in range(correction) for check in checks])


def _times(one: int, other: int) -> int:
    """Product in GF(256) with the polynomial 0x11D."""
    product = 0
    for bit in range(7, -1, -1):
        product = product << 1 ^ (product >> 7) * 0x11D
        product ^= (other >> bit & 1) * one
    return product


def _generator(degree: int) -> list[int]:
    """The Reed-Solomon generator polynomial without its leading 1."""
    made, root = [0] * (degree - 1) + [1], 1
    for _ in range(degree):
        for index in range(degree):
            made[index] = _times(made[index], root) ^ (made[index + 1] if index + 1 < degree else 0)
        root = _times(root, 2)
    return made


def _remainder(data: bytes, generator: list[int]) -> list[int]:
    made = [0] * len(generator)
    for byte in data:
        factor = byte ^ made.pop(0)
        made.append(0)
        made = [old ^ _times(part, factor) for old, part in zip(made, generator)]
    return made


def _drawn(version: int, codewords: bytes, mask: int) -> Grid:
    size = 17 + 4 * version
    grid: list[list[bool | None]] = [[None] * size for _ in range(size)]
    _draw_patterns(grid, version)
    _draw_format(grid, mask)
    if version >= 7:
        _draw_version(grid, version)
    bits = (byte >> bit & 1 for byte in codewords for bit in range(7, -1, -1))
    for row, column in _path(size):
        if grid[row][column] is None:
            grid[row][column] = bool(next(bits, 0)) ^ _MASKS[mask](row, column)
    return [[bool(module) for module in line] for line in grid]


_MASKS = (lambda i, j: (i + j) % 2 == 0, lambda i, j: i % 2 == 0, lambda i, j: j % 3 == 0, lambda i, j: (i + j) % 3 == 0,
          lambda i, j: (i // 2 + j // 3) % 2 == 0, lambda i, j: i * j % 2 + i * j % 3 == 0, lambda i,
          j: (i * j % 2 + i * j % 3) % 2 == 0,
          lambda i, j: ((i + j) % 2 + i * j % 3) % 2 == 0)


def _path(size: int) -> Iterator[tuple[int, int]]:
    """Modules in the order of the bits: two columns up, two down, from the right, past the timing column."""
    column, upward = size - 1, True
    while column > 0:
        if column == 6:
            column -= 1
        for step in range(size):
            row = size - 1 - step if upward else step
            yield row, column
            yield row, column - 1
        column, upward = column - 2, not upward


def _draw_patterns(grid: list[list[bool | None]], version: int) -> None:
    """Finders with their borders, timing, alignment, and the one dark module."""
    size = len(grid)
    for top, left in ((0, 0), (0, size - 7), (size - 7, 0)):
        for row in range(-1, 8):
            for column in range(-1, 8):
                if 0 <= top + row < size and 0 <= left + column < size:
                    away = max(abs(row - 3), abs(column - 3))
                    grid[top + row][left + column] = away in (0, 1, 3)
    for index in range(8, size - 8):
        grid[6][index] = grid[index][6] = index % 2 == 0
    places = _ALIGNED[version]
    for row in places:
        for column in places:
            if grid[row][column] is None or (6 in (row, column) and not _in_corner(row, column, size)):
                for down in range(-2, 3):
                    for right in range(-2, 3):
                        grid[row + down][column + right] = max(abs(down), abs(right)) != 1
    grid[size - 8][8] = True


def _in_corner(row: int, column: int, size: int) -> bool:
    return (row, column) in ((6, 6), (6, size - 7), (size - 7, 6))


def _draw_format(grid: list[list[bool | None]], mask: int) -> None:
    """Level L and the mask, twice, with their BCH check."""
    size, data = len(grid), 0b01 << 3 | mask
    rest = data
    for _ in range(10):
        rest = rest << 1 ^ (rest >> 9) * 0x537
    bits = (data << 10 | rest) ^ 0x5412
    def bit(index: int) -> bool:
        return bool(bits >> index & 1)

    for index in range(6):
        grid[index][8] = bit(index)
    grid[7][8], grid[8][8], grid[8][7] = bit(6), bit(7), bit(8)
    for index in range(9, 15):
        grid[8][14 - index] = bit(index)
    for index in range(8):
        grid[8][size - 1 - index] = bit(index)
    for index in range(8, 15):
        grid[size - 15 + index][8] = bit(index)


def _draw_version(grid: list[list[bool | None]], version: int) -> None:
    size, rest = len(grid), version
    for _ in range(12):
        rest = rest << 1 ^ (rest >> 11) * 0x1F25
    bits = version << 12 | rest
    for index in range(18):
        far, near = size - 11 + index % 3, index // 3
        grid[near][far] = grid[far][near] = bool(bits >> index & 1)


def _penalty(grid: Grid) -> int:
    """How hard a code is to read: long runs, blocks, what looks like a finder, and an uneven balance."""
    size, points = len(grid), 0
    columns = [list(column) for column in zip(*grid)]
    for line in (*grid, *columns):
        text = "".join("1" if module else "0" for module in line)
        points += sum(len(run) - 2 for run in text.replace("10", "1 0").replace("01", "0 1").split() if len(run) >= 5)
        points += 40 * sum(text.startswith(mark, at) for mark in ("10111010000", "00001011101") for at in range(size - 10))
    points += 3 * sum(grid[row][column] == grid[row][column + 1] == grid[row + 1][column] == grid[row + 1][column + 1]
                      for row in range(size - 1) for column in range(size - 1))
    dark = sum(map(sum, grid)) * 100 // (size * size)
    return points + 10 * (abs(dark - 50) // 5)
