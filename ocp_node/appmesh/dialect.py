"""How the appmesh surface words its answers."""

from ..http.dialect import Dialect


class _Dialect(Dialect):
    surface = "appmesh"
    prefixes = ("/appmesh",)


DIALECT = _Dialect()
