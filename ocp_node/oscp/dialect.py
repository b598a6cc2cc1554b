"""How the oscp surface words its answers."""

from ..http.dialect import Dialect


class _Dialect(Dialect):
    surface = "oscp"
    prefixes = ("/oscp",)


DIALECT = _Dialect()
