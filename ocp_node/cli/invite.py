"""`ocp.py invite`: a code with which another device joins this node, and the words to compare once it has."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ..base import qr
from ..base.clock import Clock
from ..http.gates import is_loopback
from ..http.target import target_of
from . import arguments, node, outcome, output

ASK_SECONDS = 1.0                # between two looks at whether the code was used


def run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """0 once the code was used (or at once with --no-wait), 1 when it ran out unused."""
    parser = arguments.Parser(
        "invite", description="Makes a code that is good once and for a short time.  On the other device: `ocp.py join CODE`.\n"
        "Both devices then show four words; they must be the same.",
        examples=("invite", "invite --tier partner --minutes 30", "invite --no-wait --json",
                  "invite --base-url http://192.168.1.20:8421"))
    parser.add_argument("--tier", default="trusted", choices=("trusted", "partner", "market", "public"),
                        help="what the other device becomes here")
    parser.add_argument("--minutes", type=arguments.amount, default=10.0, metavar="N",
                        help="for how long the code is good (default: 10)")
    parser.add_argument("--base-url", default="", metavar="URL",          # for the help: the setting of that name takes it
                        help="where the other device reaches this node (default: as it is advertised)")
    parser.add_argument("--no-wait", action="store_true", help="do not wait until the code is used")
    node.add_arguments(parser)
    own, settings = arguments.parse(parser, argv, environ)
    asked = node.named(own, settings)
    base_url = settings.base_url if settings.origin("base_url").startswith("flag") else ""
    made = asked.ask("mesh.invitations.create", {"trust_tier": own.tier, "seconds": round(own.minutes * 60),
                                                 "base_url": base_url})
    if not made.ok:
        return node.show(made, own.json)
    invitation: dict[str, Any] = made.body
    if own.json and own.no_wait:
        output.document(invitation)
        return outcome.OK
    _tell(invitation)
    return outcome.OK if own.no_wait else _wait(asked, invitation["id"], own.json)


def _tell(invitation: Mapping[str, Any]) -> None:
    """The code for people: as a picture where the terminal shows one, and as text."""
    if sys.stderr.isatty():
        try:
            print(qr.terminal(invitation["code"].encode()), file=sys.stderr)
        except (qr.TooLong, UnicodeEncodeError):
            pass                     # the text below says the same
    print(f"on the other device:  python3 ocp.py join {invitation['code']}\n"
          f"this node:            {invitation['base_url']}, key {invitation['fingerprint']}\n"
          f"good once, until:     {invitation['expires_at']}, for the tier {invitation['trust_tier']}", file=sys.stderr)
    target = target_of(invitation["base_url"])
    if target.host == "localhost" or is_loopback(target.host):
        print("ocp: only this machine reaches that address; start the node with --host 0.0.0.0, or name an address with --base-url",
              file=sys.stderr)


def _wait(asked: node.Node, name: str, as_json: bool) -> int:
    """Look until the code is used or has run out."""
    clock = Clock()
    while True:
        state = asked.ask("mesh.invitations.show", invitation_id=name)
        if not state.ok:
            return node.show(state, as_json)
        if state.body["state"] != "open":
            break
        clock.sleep(ASK_SECONDS)
    if as_json:
        output.document(state.body)
    elif state.body["state"] == "used":
        print(f"joined: {state.body['peer_id']}\ncompare on both devices: {' '.join(state.body['words'])}")
    else:
        print("the code has run out unused")
    return outcome.OK if state.body["state"] == "used" else outcome.FAILED
