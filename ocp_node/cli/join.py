"""`ocp.py join CODE`: this node and the one that made the code become peers of each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from . import arguments, node, outcome, output


def run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """0 when both nodes are connected."""
    parser = arguments.Parser("join", description="Uses the code that `ocp.py invite` printed on the other device.\n"
                              "Compare the four words with those on the other device: if they differ, somebody stands between.",
                              examples=("join ocp-join:WyJodHRw…", "join --json ocp-join:WyJodHRw…"))
    parser.add_argument("code", metavar="CODE")
    node.add_arguments(parser)
    own, settings = arguments.parse(parser, argv, environ)
    answer = node.named(own, settings).ask("mesh.invitations.join", {"code": own.code})
    if own.json or not answer.ok:
        return node.show(answer, own.json)
    output.columns([("joined", f"{answer.body['display_name']} ({answer.body['peer_id']}) at {answer.body['base_url']}"),
                    ("tier", answer.body["trust_tier"]), ("compare on both devices", " ".join(answer.body["words"]))])
    return outcome.OK
