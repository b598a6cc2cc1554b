"""The node's own surface words its answers in the plain form."""

from ..http.dialect import Dialect

DIALECT = Dialect()
