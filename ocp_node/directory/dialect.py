"""How the seed directory words its answers."""

from ..http.dialect import Dialect


class _Dialect(Dialect):
    surface = "directory"
    prefixes = ("/adv",)


DIALECT = _Dialect()
