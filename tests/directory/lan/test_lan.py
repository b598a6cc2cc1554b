"""The local network, by the words of Avahi's programs; and by the real ones where they run."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from ocp_node.base.clock import Clock, SetClock
from ocp_node.directory.lan import room as lan
from ocp_node.directory.lan import rules
from tests.support.adverts import Signer
from tests.support.node import TrialNode

A = Signer(1)
OUTPUT = r'''+;eth0;IPv4;My\059\032node\032\195\169;_ocp._tcp;local
=;eth0;IPv6;My\059\032node\032\195\169;_ocp._tcp;local;h;fd00::2;8421;"scheme=https" "node=alpha" "did=DID" "x=a;b \"q\" \195\169"
=;eth0;IPv4;My\059\032node\032\195\169;_ocp._tcp;local;h;192.168.1.5;8421;"scheme=https" "node=alpha" "did=DID" "scheme=http"
=;lo;IPv4;My\059\032node\032\195\169;_ocp._tcp;local;vm.local;127.0.0.1;8421;"scheme=https"
=;eth0;IPv6;six;_ocp._tcp;local;six.local;2001:db8::7;9000;
=;eth0;IPv6;link;_ocp._tcp;local;link.local;fe80::1;9000;
=;eth0;IPv4;me;_ocp._tcp;local;me.local;192.168.1.9;8421;"did=OWN"
=;eth0;IPv4;odd;_ocp._tcp;local;odd.local;192.168.1.7;99999;
=;eth0;IPv4;odd;_ocp._tcp;local;odd.local;evil.example;80;
=;eth0;IPv4;odd;_ocp._tcp
garbage
'''.replace("DID", A.node_id)


def test_who_announces_itself_is_read_once_and_this_node_not_at_all():
    found = rules.read(OUTPUT, "OWN")
    assert found == [rules.Found("My; node é", "192.168.1.5", 8421, "https", "alpha", A.node_id),
                     rules.Found("six", "2001:db8::7", 9000, "http", "", "")]
    assert [node.base_url for node in found] == ["https://192.168.1.5:8421", "http://[2001:db8::7]:9000"]


@pytest.mark.parametrize("text", ['"node=a b"', '"node=<script>"', '"did=' + "x" * 200 + '"', '"node=\\010"', '"node', "node=a",
                                  '""'])
def test_odd_words_are_left_out(text):
    line = f"=;eth0;IPv4;n;_ocp._tcp;local;h;192.168.1.5;8421;{text}"
    assert rules.read(line, "OWN") == [rules.Found("n", "192.168.1.5", 8421, "http", "", "")]


def test_a_crowd_is_bounded():
    lines = "\n".join(f"=;eth0;IPv4;n{number};_ocp._tcp;local;h;192.168.1.5;8421;" for number in range(5000))
    assert len(rules.read(lines, "")) == rules.FOUND_MAX


def test_an_announcement_fits_into_dns():
    command = rules.announcement("p", "ü" * 60, 8421, "http", "n" * 300, "did")
    assert command[:3] == ["p", "--service", "--"] and len(command[3].encode()) <= 63 and command[4:6] == ["_ocp._tcp", "8421"]
    assert command[6:] == ["scheme=http", "did=did"]


@pytest.mark.parametrize("code, output, words", [(0, "", ""), (1, "Failed to create client object: Daemon not running\n",
                                                               "does not run"), (3, "boom", "boom")])
def test_a_failure_is_told_in_words(code, output, words):
    assert words in rules.trouble(code, output) and bool(rules.trouble(code, output)) == bool(code)


@pytest.fixture
def node(tmp_path):
    with TrialNode(tmp_path, clock=SetClock()) as made:
        yield made


def test_a_machine_without_avahi_says_so(node):
    room = lan.Lan(node.core, programs=("no-such-avahi-browse", "no-such-avahi-publish"))
    assert room.step() == lan.ABSENT_SECONDS and room.state == lan.ABSENT
    told = lan.Lan(node.core, lambda command, seconds: (1, "Daemon not running"))
    assert told.step() == lan.EVERY_SECONDS and told.state == "the Avahi daemon does not run on this machine"
    assert not told.figures()["announced"]
    assert "directory.lan" not in node.rooms._built, "on loopback nobody is asked"


def test_nodes_are_seen_and_forgotten_and_this_one_is_announced(node, tmp_path):
    program = tmp_path / "publish"
    program.write_text(f"#!/bin/sh\necho \"$@\" >> {tmp_path}/words\nexec sleep 60\n")
    program.chmod(0o755)
    outputs = [OUTPUT.replace("OWN", node.core.identity.did), "", ""]
    room = lan.Lan(node.core, lambda command, seconds: (0, outputs.pop(0)), programs=("browse", str(program)))
    room.step()
    assert [(sighting.source, sighting.base_url, sighting.node_id, sighting.verified) for sighting in room.sightings(1)] == [
        ("local network", "https://192.168.1.5:8421", "alpha", False)]
    node.until(lambda: (tmp_path / "words").exists() and (tmp_path / "words").read_text())
    words = (tmp_path / "words").read_text()
    assert f"-- Trial _ocp._tcp {node.port} scheme=http node=trial-node did={node.core.identity.did}" in words
    assert room.figures() == {"state": "announced", "announced": True, "found": 2}
    room._announcer.kill()
    node.until(lambda: not room.figures()["announced"], "the end of the announcer")
    node.clock.advance(lan.KEPT_SECONDS)
    room.step()
    assert room.figures() == {"state": "announced", "announced": True, "found": 0}, "and started anew"


def avahi_runs() -> bool:
    return bool(shutil.which("avahi-browse")) and subprocess.run(
        ["avahi-browse", "--terminate", "--parsable", "_ocp._tcp"], capture_output=True, timeout=20).returncode == 0


@pytest.mark.skipif(not avahi_runs(), reason="needs a running Avahi daemon and avahi-utils")
def test_two_nodes_meet_by_the_real_avahi(tmp_path):
    environment = {"PATH": os.environ["PATH"]}
    with TrialNode(tmp_path / "a", clock=Clock(), node_id="alpha", display_name="alpha", host="0.0.0.0",
                   environment=environment) as a, TrialNode(
            tmp_path / "b", clock=Clock(), node_id="beta", display_name="beta", host="0.0.0.0", environment=environment) as b:
        def seen(node):
            node.wake()
            return {sighting.node_id for sighting in node.core.sightings.gather(10) if sighting.source == "local network"}

        a.until(lambda: "beta" in seen(a) and "alpha" in seen(b), "the nodes to see each other")
        assert a.core.identity.did not in {sighting.node_did for sighting in a.core.sightings.gather(10)}
