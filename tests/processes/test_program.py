"""Small programs of our own are run to their end."""

import pytest

from ocp_node.processes.program import run


def test_a_program_gives_its_code_and_what_it_said():
    assert run(["sh", "-c", "echo out; echo err >&2; exit 3"]) == (3, "out\nerr\n")


def test_a_program_that_is_not_there_is_said_to_be():
    with pytest.raises(FileNotFoundError):
        run(["no-such-program"])


def test_a_program_that_takes_too_long_is_ended():
    code, text = run(["sleep", "60"], seconds=0.1)
    assert code == 124 and "did not end" in text


def test_a_program_gets_nothing_of_our_environment(monkeypatch):
    monkeypatch.setenv("OCP_OPERATOR_TOKEN", "secret")
    assert "secret" not in run(["env"])[1]
