"""Token buckets: so many at once, so many a second afterwards; bounded in memory whatever the number of keys."""

from __future__ import annotations

from collections.abc import Callable

KEYS_MAX = 100_000        # of one kind; 100 bytes each


class Buckets:
    """One bucket for each key.  Without a burst or a refill there is no limit.  Used by one thread at a time.

    Keys are kept in the order of their last use: the first of them are the fullest, and those are forgotten when there are too
    many, which gives their owners nothing that waiting would not have given them.
    """

    def __init__(self, burst: float, per_second: float, monotonic: Callable[[], float], keys_max: int = KEYS_MAX) -> None:
        self._burst = float(burst)
        self._per_second = float(per_second)
        self._monotonic = monotonic
        self._keys_max = keys_max
        self._buckets: dict[str, tuple[float, float]] = {}      # tokens, and when they were counted

    def __len__(self) -> int:
        return len(self._buckets)

    @property
    def unbounded(self) -> bool:
        return not (self._burst and self._per_second)

    def wait_seconds(self, key: str) -> float:
        """0 when a token is there, else how long until there is one.  Nothing is taken."""
        if self.unbounded:
            return 0.0
        missing = 1.0 - self._tokens(key, self._monotonic())
        return missing / self._per_second if missing > 1e-9 else 0.0

    def take(self, key: str) -> float:
        """Takes a token and gives 0, or takes none and gives the seconds until there is one."""
        if self.unbounded:
            return 0.0
        now = self._monotonic()
        tokens = self._tokens(key, now)
        if tokens < 1.0 - 1e-9:
            return (1.0 - tokens) / self._per_second
        self._buckets.pop(key, None)
        if len(self._buckets) >= self._keys_max:
            self._forget(now)
        self._buckets[key] = (tokens - 1.0, now)
        return 0.0

    def _tokens(self, key: str, now: float) -> float:
        known = self._buckets.get(key)
        return self._burst if known is None else min(self._burst, known[0] + (now - known[1]) * self._per_second)

    def _forget(self, now: float) -> None:
        """Full buckets at the front are dropped, and an eighth of all in any case."""
        least = max(1, self._keys_max // 8)
        dropped: list[str] = []
        for key, (tokens, at) in self._buckets.items():
            if len(dropped) >= least and tokens + (now - at) * self._per_second < self._burst:
                break
            dropped.append(key)
        for key in dropped:
            del self._buckets[key]


def source_key(address: str) -> str:
    """What counts as one source: an IPv4 address, or the /64 that one IPv6 customer gets."""
    if ":" not in address:
        return address
    from ipaddress import IPv6Address
    try:
        parsed = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    return str(parsed.ipv4_mapped) if parsed.ipv4_mapped else f"{int(parsed) >> 64:016x}"
