"""The federation root and what it makes official.  Pure; whoever is not in the root makes nothing official."""

from __future__ import annotations

from typing import Any

from ...base.errors import Malformed, Problem, Refusal
from ...crypto import node_did
from .. import passports
from .. import shape as shapes
from ..passports import FUTURE_US, LISTED_MAX, ORGANISATION
from ..shape import Found, Shape, Table, instant_us

ENDORSEMENT_DOMAIN = "federation-service-endorsement.v1"
REVOCATION_DOMAIN = "federation-service-endorsement-revocation.v1"
ROOT_DEPTH_MAX = 32
SHAPE = Shape(depth=ROOT_DEPTH_MAX)

_subject = shapes.did(node_did.PARTICIPANT, ORGANISATION)
_endorsement_id = shapes.matching(r"federation-service-endorsement:[!-~]*")


def _signatures(value: Any, shape: Shape) -> Found:
    return shapes.list_of(value, shape, 64, lambda item, shape: shapes.object_of(item, shape, SIGNER, closed=True))


def _closed(table: Table) -> Any:
    return lambda value, shape: shapes.object_of(value, shape, table, closed=True)


def _list(table: Table, items_min: int = 0, items_max: int = LISTED_MAX) -> Any:
    return lambda value, shape: shapes.list_of(value, shape, items_max, _closed(table), items_min)


def _texts(checked: Any) -> Any:
    return lambda value, shape: shapes.list_of(value, shape, LISTED_MAX, checked, 0)


SIGNER: Table = (("alg", True, shapes.one_of("ed25519")), ("key_public", True, shapes.key_form),
                 ("value", True, shapes.matching(r"[A-Za-z0-9_-]+")))
ENDORSEMENT: Table = (
    ("schema", True, shapes.constant(ENDORSEMENT_DOMAIN)), ("endorsement_id", True, _endorsement_id),
                      ("federation_id", True, shapes.label),
    ("node_id", True, passports.node), ("capability_id", True, passports.capability_id), ("endorser_subject_ref", True, _subject),
    ("issued_at", True, shapes.instant), ("expires_at", True, shapes.instant), ("policy_ref", False, shapes.text),
    ("revocation_ref", False, shapes.text), ("signatures", True, _signatures))
REVOCATION: Table = (
    ("schema", True, shapes.constant(REVOCATION_DOMAIN)), ("revocation_id", True,
                                                           shapes.matching(r"federation-service-endorsement-revocation:[!-~]*")),
    ("endorsement_id", True, _endorsement_id), ("federation_id", True, shapes.label), ("node_id", True, passports.node),
    ("capability_id", True, passports.capability_id), ("revoker_subject_ref", True, _subject),
                     ("revoked_at", True, shapes.instant),
    ("reason", False, shapes.text), ("signatures", True, _signatures))
_PEER: Table = (("node_id", True, shapes.node_id_form), ("endpoint_url", True, shapes.text),
                ("tls_certificate_sha256", False, shapes.matching(r"sha256:[A-Za-z0-9_-]{43}")),
                ("tls_advisory_route_id", False, shapes.text))
_BOOTSTRAP: Table = (
    ("node_id", True, shapes.node_id_form), ("endpoint", True, shapes.text),
                     ("tls_certificate_sha256", False, shapes.matching(r"sha256:[A-Za-z0-9_-]{43}")),
    ("passport", False, shapes.text), ("trust_level", True, shapes.one_of("personal", "community", "federation-endorsed")),
    ("weight", True, shapes.count(1)), ("passport_ref", False, shapes.matching(passports.PASSPORT_ID)),
                     ("policy_ref", False, shapes.text),
    ("endorsement_refs", False, _texts(shapes.text)), ("reputation_ref", False, shapes.text),
    ("enabled", True, lambda value, shape: shapes.FINE if type(value) is bool else shapes.wrong("type")),
                     ("endorsement", False, _closed(ENDORSEMENT)))
_RULE: Table = (
    ("purpose", True, shapes.one_of("federation-root")), ("mode", True, shapes.one_of("any-authorized", "threshold")),
    ("threshold/min_signers", False, shapes.count(1)), ("authorized/participant_ids", False, _texts(passports.participant)),
    ("authorized/key_publics", False, _texts(shapes.key_form)))
_CUSTODY: Table = (("policy/ref", True, shapes.text), ("org/id", True, shapes.did(ORGANISATION)),
                   ("rules", True, _list(_RULE, 1, 1)))
_ATTESTATION_ROOT: Table = (
    ("id", True, _subject), ("kind", True, shapes.one_of("participant", "org")),
                            ("custody_mode", False, shapes.one_of("any-authorized", "threshold")),
    ("custody_policy_ref", False, shapes.text), ("purposes", False, _texts(shapes.text)), ("valid_from", False, shapes.instant),
    ("valid_until", False, shapes.instant))
ROOT: Table = (
    ("schema", True, shapes.constant("federation-root.v1")), ("federation_id", True, shapes.label),
               ("pack_version", True, shapes.count()),
    ("issued_at", False, shapes.instant), ("attestation_roots", True, _list(_ATTESTATION_ROOT, 1)),
               ("bootstrap_seed_peers", False, _list(_PEER)),
    ("seed_directory_bootstrap", False, _list(_BOOTSTRAP)), ("federation_service_endorsement_revocations", False,
                                                             _list(REVOCATION)),
    ("custody_policies", False, _list(_CUSTODY)), ("policy_ref", False, shapes.text),
               ("endorsement_refs", False, _texts(shapes.text)),
    ("signatures", True, _signatures))


class Root:
    """The active federation root: who may speak for the federation."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.federation_id: str = document["federation_id"]
        self.version: int = document["pack_version"]
        self.revoked = frozenset(revocation["endorsement_id"]
                                 for revocation in document.get("federation_service_endorsement_revocations", ()))
        self._subjects = {root["id"]: root for root in document["attestation_roots"]}
        self._custody = {policy["policy/ref"]: policy for policy in document.get("custody_policies", ())}

    def subject(self, subject: str, now_us: int) -> dict[str, Any]:
        """The root's entry of a subject that may speak now.  Refusal `endorser-not-authorised` otherwise."""
        entry = self._subjects.get(subject)
        if entry is None:
            raise Refusal("endorser-not-authorised")
        if "valid_from" in entry and instant_us(entry["valid_from"]) > now_us:
            raise Refusal("endorser-not-authorised")
        if "valid_until" in entry and instant_us(entry["valid_until"]) <= now_us:
            raise Refusal("endorser-not-authorised")
        return entry

    def keys(self, entry: dict[str, Any]) -> tuple[frozenset[str], int]:
        """The keys that may sign for the subject, and how many of them must."""
        if entry["kind"] == "participant":
            return frozenset({entry["id"].removeprefix(node_did.PARTICIPANT)}), 1
        policy = self._custody.get(entry["custody_policy_ref"])
        if policy is None or policy["org/id"] != entry["id"]:
            raise Refusal("endorser-not-authorised")
        rule = policy["rules"][0]
        keys = frozenset((*rule.get("authorized/key_publics", ()),
                          *(participant.removeprefix(node_did.PARTICIPANT)
                            for participant in rule.get("authorized/participant_ids", ()))))
        return keys, rule.get("threshold/min_signers", 1) if rule["mode"] == "threshold" else 1


def root(value: Any) -> Root:
    """The federation root that a document is, signed by one of its own attestation roots.

    `Malformed` or `Refusal` otherwise: an invalid root makes nothing official.
    """
    shapes.check(value, ROOT, SHAPE, "invalid-artifact")
    problems = [*_closed_problems(value, ROOT), *_root_problems(value)]
    if problems:
        raise Malformed(problems, "invalid-artifact")
    made = Root(value)
    for entry in value["attestation_roots"]:
        keys, least = made.keys(entry)
        if len(_signers("", value, keys)) >= least:
            return made
    raise Refusal("custody-threshold")


def _root_problems(value: dict[str, Any]) -> list[Problem]:
    """What the tables cannot say: which members go with which kind and mode."""
    found = []
    for index, entry in enumerate(value["attestation_roots"]):
        place: tuple[str | int, ...] = ("attestation_roots", index)
        organisation = entry["kind"] == "org"
        if organisation != entry["id"].startswith(ORGANISATION):
            found.append(Problem((*place, "id"), "pattern"))
        found += [Problem((*place, name), "required" if organisation else "unknown")
                  for name in ("custody_mode", "custody_policy_ref")
                  if (name in entry) != organisation]
    for index, policy in enumerate(value.get("custody_policies", ())):
        rule, place = policy["rules"][0], ("custody_policies", index, "rules", 0)
        if ("threshold/min_signers" in rule) != (rule["mode"] == "threshold"):
            found.append(Problem((*place, "threshold/min_signers"), "required" if rule["mode"] == "threshold" else "unknown"))
        if not rule.get("authorized/key_publics") and not rule.get("authorized/participant_ids"):
            found.append(Problem((*place, "authorized/key_publics"), "required"))
    return found


def _closed_problems(value: dict[str, Any], table: Table) -> list[Problem]:
    return [Problem((name,), "unknown") for name in value.keys() - {name for name, _, _ in table}]


def read(value: Any, table: Table, shape: Shape) -> dict[str, Any]:
    """An endorsement or its revocation, with no member that its schema does not name."""
    shapes.check(value, table, shape, "invalid-artifact")
    problems = _closed_problems(value, table)
    if problems:
        raise Malformed(problems, "invalid-artifact")
    return dict(value)


def _signers(domain: str, artifact: dict[str, Any], keys: frozenset[str]) -> set[str]:
    """The different authorised keys that have truly signed the artifact."""
    message = node_did.json_signing_input(domain, artifact, ("signatures",))
    return {signature["key_public"] for signature in artifact["signatures"]
            if signature["key_public"] in keys and _holds(signature, message)}


def _holds(signature: dict[str, Any], message: bytes) -> bool:
    try:
        node_did.check(node_did.public_key(signature["key_public"], ""), message, signature["value"])
    except (Refusal, Malformed):
        return False
    return True


def check_endorsement(endorsement: dict[str, Any], active: Root, now_us: int) -> None:
    """The federation's subject has endorsed, with as many keys as its custody wants, and the endorsement holds now."""
    if endorsement["federation_id"] != active.federation_id:
        raise Refusal("federation-mismatch")
    if endorsement["endorsement_id"] in active.revoked:
        raise Refusal("revoked")
    entry = active.subject(endorsement["endorser_subject_ref"], now_us)
    keys, least = active.keys(entry)
    if entry["kind"] == "participant" and len(endorsement["signatures"]) != 1:
        raise Refusal("custody-threshold")
    signers = _signers(ENDORSEMENT_DOMAIN, endorsement, keys)
    if not signers:
        raise Refusal("invalid-signature")
    if len(signers) < least:
        raise Refusal("custody-threshold")
    if instant_us(endorsement["expires_at"]) <= now_us:
        raise Refusal("expired")
    if instant_us(endorsement["issued_at"]) > now_us + FUTURE_US:
        raise Refusal("not-yet-valid")


def check_revocation(revocation: dict[str, Any], active: Root, now_us: int) -> None:
    """One authorised key of the federation's subject takes the endorsement back: that is easier than giving it."""
    if revocation["federation_id"] != active.federation_id:
        raise Refusal("federation-mismatch")
    keys, _ = active.keys(active.subject(revocation["revoker_subject_ref"], now_us))
    if not _signers(REVOCATION_DOMAIN, revocation, keys):
        raise Refusal("invalid-signature")
    if instant_us(revocation["revoked_at"]) > now_us + FUTURE_US:
        raise Refusal("not-yet-valid")


def official(endorsement: dict[str, Any], active: Root, now_us: int) -> bool:
    """Whether an endorsement holds under the root of today."""
    try:
        check_endorsement(endorsement, active, now_us)
    except Refusal:
        return False
    return True
