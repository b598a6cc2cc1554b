"""What a signed answer says of itself (`seed-directory-query-attestation.v1`).  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...base.clock import instant_text
from ...crypto import canonical

SCHEME = "seed-directory-query.v1"
SCHEMA = "seed-directory-query-attestation.v1"
MEMBER = "query_attestation"
LIFE_SECONDS = 300
FILTER_LENGTH_MAX = 2048
PATH_LENGTH_MAX = 1024


def unsigned(directory_id: str, mode: str, path: str, query_filter: Mapping[str, str], body: Mapping[str, Any],
             high_water: int | None, now: float) -> dict[str, Any]:
    """The attestation of `body`, but for its signature.  `Malformed` for a body that has no canonical JSON."""
    digest = canonical.sha256_text(canonical.jcs(body, nfc=True))
    return {"schema": SCHEMA, "attestation/id": f"attestation:seed-directory-query:{digest.removeprefix('sha256:')}",
            "directory/node-id": directory_id, "query/mode": mode, "query/path": path, "query/filter": dict(query_filter),
            "result/digest": digest, "result/digest-alg": "jcs-nfc-sha256-base64url", "projection/high-water-tx-id": high_water,
            "issued/at": instant_text(now), "expires/at": instant_text(now + LIFE_SECONDS), "signer/id": directory_id}


def attestable(path: str, query_filter: Mapping[str, str]) -> bool:
    """The schema's own bounds hold."""
    return 0 < len(path) <= PATH_LENGTH_MAX and all(len(text) <= FILTER_LENGTH_MAX for text in query_filter.values())
