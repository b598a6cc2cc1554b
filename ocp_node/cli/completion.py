"""`ocp.py completion SHELL`: a completion script with the verbs, the flags and every route id of this version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..base.settings import SETTINGS
from . import arguments, outcome, output, verbs

SHELLS = ("bash", "zsh", "fish")

BASH = """# completion of ocp.py; load it with: source <(./ocp.py completion {shell})
_ocp_py() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" verb="${{COMP_WORDS[1]}}"
    COMPREPLY=()
    if [[ "$word" == -* ]]; then
        COMPREPLY=($(compgen -W "{flags}" -- "$word"))
    elif [ "$COMP_CWORD" -eq 1 ] || [ "$verb" = help ]; then
        COMPREPLY=($(compgen -W "{verbs}" -- "$word"))
    elif [ "$verb" = call ] && [ "$COMP_CWORD" -eq 2 ]; then
        COMPREPLY=($(compgen -W "{routes}" -- "$word"))
    else
        COMPREPLY=($(compgen -f -- "$word"))
    fi
}}
complete -F _ocp_py ocp.py ./ocp.py
"""


def run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """The script for the shell that was named is on standard output."""
    parser = arguments.Parser("completion", examples=("completion bash > ~/.local/share/bash-completion/completions/ocp.py",
                                                      "completion fish > ~/.config/fish/completions/ocp.py.fish"))
    parser.add_argument("shell", choices=SHELLS)
    own, _ = arguments.parse(parser, argv, environ)
    script = fish() if own.shell == "fish" else bash(own.shell)
    if own.json:
        output.document({"shell": own.shell, "script": script})
    else:
        print(script, end="")
    return outcome.OK


def flags() -> list[str]:
    """Every flag of every setting."""
    return ["--help", "--json", *(setting.flag for setting in SETTINGS if setting.flag)]


def route_ids() -> list[str]:
    """Every route by its id."""
    from server_contract import ROUTES
    return [route.id for route in ROUTES]


def bash(shell: str) -> str:
    """One function; zsh understands it through its own bash layer."""
    script = BASH.format(shell=shell, flags=" ".join(flags()), verbs=" ".join(verbs.VERBS), routes=" ".join(route_ids()))
    return "autoload -U +X bashcompinit && bashcompinit\n" + script if shell == "zsh" else script


def fish() -> str:
    """One line for each verb and flag."""
    lines = ["# completion of ocp.py", "set -l verbs " + " ".join(verbs.VERBS)]
    for verb, (_, summary) in verbs.VERBS.items():
        lines.append(f"complete -c ocp.py -n 'not __fish_seen_subcommand_from $verbs' -f -a {verb} -d {_quoted(summary)}")
    lines.append(f"complete -c ocp.py -n '__fish_seen_subcommand_from call' -f -a {_quoted(' '.join(route_ids()))}")
    for setting in SETTINGS:
        if setting.flag:
            needs = "" if setting.kind == "bool" else " -r"
            lines.append(f"complete -c ocp.py -l {setting.flag[2:]}{needs} -d {_quoted(setting.about)}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
