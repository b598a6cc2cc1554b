"""Which status the product gives where the captured exchange has another (OCP 0.1 statuses and codes).

The captured node answered 400 to every refusal.  The product's status follows from the text of the error, as the protocol's table
of codes says; what no row names stays 400.
"""

from __future__ import annotations

import re

# Words of an interpreter or of its libraries: the product says the same in its own words.
INTERPRETER = re.compile(
    r"Expecting (property name|value|',')|codec can't decode|object has no attribute|invalid literal for int|could not convert|"
    r"Invalid isoformat|<urlopen error|timed out$|HTTP Error \d|unexpected keyword argument|missing \d+ required|"
    r"dictionary update sequence|"
    r"does not appear to be an IPv4|not supported between|not iterable|not subscriptable|UNIQUE constraint|too many values|"
    r"argument must be|must be str, not|can only concatenate|Incorrect padding|Invalid base64|takes \d+ positional|"
    r"cannot convert|"
    r"object is not callable|not JSON serializable|list index out of range|string indices|Unsupported method|Extra data|"
    r"Unterminated|"
    r"has no len\(\)|object of type|KeyError|Only base64 data|number of data characters|is not iterable|expected str")

# error text -> status, first match; texts as the protocol lists them
TEXTS: tuple[tuple[str, int], ...] = (
    (r"operator authorization required$", 401),
    (r"protocol validation failed$", 400),
    (r"signature is required$|signature verification failed$|stale or future timestamp$|unknown peer |public key unavailable",
     401),
    (r"request node_id does not match peer card$|peer public key changed", 401),
    (r"nonce already seen", 409),
    (r"peer .* is blocked$|cannot enlist peer with trust_tier=|"
     r"artifact policy denies access|secret scope(?! is required)|not allowed by treaty",
     403),
    (r"treaty requirements|requires active treaties", 403),
    (r"unknown endpoint$", 404),
    (r"not found( for .*)?$|.* not found:|artifact not found|no such ", 404),
    (r"peer must be connected before sync$|attempt is not active|lease is not active|activation already running", 409),
    (r"(queue message|job|mission) .*(cannot|is not|has no|must use|already|in state)|replay window", 409),
    (r"jobs cannot be recovered$|jobs require /resume|ack deadline can only be|only dead_letter or cancelled queue", 409),
    (r"artifact is not a checkpoint$|checkpoint artifact does not belong to job$", 409),
    (r"fresh reachable route required", 502),
    (r"<urlopen error \[Errno|<urlopen error timed out", 502),
    (r"timed out$", 504),
    (r"HTTP Error \d+", 502),
)


def interpreted(text: str) -> bool:
    """Is the text one of the interpreter's, which the product never shows?"""
    return INTERPRETER.search(text) is not None


def expected(captured_status: int, error: str, named: bool = True) -> int:
    """The product's status for a captured answer.  `named`: the request names the thing that was not found."""
    if captured_status < 400:
        return captured_status
    if captured_status == 501:
        return 405
    if captured_status in (401, 404):
        return captured_status
    if error == "peer endpoint_url is unavailable" or error == "peer base_url is required":
        return 404 if named else 400
    return next((status for pattern, status in TEXTS if re.match(pattern, error) or re.search(pattern, error)), 400)
