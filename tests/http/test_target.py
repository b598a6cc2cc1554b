"""Which URLs and addresses are called."""

from __future__ import annotations

import pytest

from ocp_node.http.calls import OutboundError
from ocp_node.http.target import Target, address_fault, target_of


@pytest.mark.parametrize("url, target, authority", [
    ("http://peer", Target("http", "peer", 80, "/", False), "peer"),
    ("HTTPS://Peer.Example:443/a/b?c=%20d", Target("https", "peer.example", 443, "/a/b?c=%20d", False), "peer.example"),
    ("http://peer:8421/mesh/manifest", Target("http", "peer", 8421, "/mesh/manifest", False), "peer:8421"),
    ("http://peer?since=1", Target("http", "peer", 80, "/?since=1", False), "peer"),
    ("http://peer./x", Target("http", "peer", 80, "/x", False), "peer"),
    ("http://192.168.7.9/", Target("http", "192.168.7.9", 80, "/", True), "192.168.7.9"),
    ("http://[FD00::7]:8421/", Target("http", "fd00::7", 8421, "/", True), "[fd00::7]:8421"),
    ("https://[fd00:0:0::7]/", Target("https", "fd00::7", 443, "/", True), "[fd00::7]"),
    ("http://node_a.local/", Target("http", "node_a.local", 80, "/", False), "node_a.local"),
    ("http://xn--grn-hoa.example/", Target("http", "xn--grn-hoa.example", 80, "/", False), "xn--grn-hoa.example"),
])
def test_a_url_is_taken_apart(url, target, authority):
    assert target_of(url) == target and target_of(url).authority == authority


@pytest.mark.parametrize("url", [
    "", "peer", "peer:8421", "//peer/", "http:peer", "http:/peer", "http://", "http:///path", "http://:80/",
    "file:///etc/passwd", "ftp://peer/", "gopher://peer/", "javascript://peer/", "unix:///run/x", "data:text/plain,x",
    "http://user@peer/", "http://user:secret@peer/", "http://peer@169.254.169.254/", "http://@peer/",
    "http://peer/#part", "http://peer#", "http://peer/?a#b",
    "http://peer:0/", "http://peer:65536/", "http://peer:abc/", "http://peer:/", "http://peer:-1/", "http://peer:80:80/",
    "http://peer:123456/",
    "http://pe er/", " http://peer/", "http://peer/ ", "http://peer/a b", "http://peer/\r\nX: 1", "http://peer\r\n/", "http://peer/\n",
    "http://peer/\x00", "http://peer/\t", "http://grün.example/", "http://peer/grün", "http://peer\\@evil/", "http://peer/\\x",
    "http://pe%65r/", "http://-peer/", "http://peer-/", "http://a..b/", "http://.peer/", "http://peer,evil/", "http://[peer]/",
    "http://" + "a" * 64 + "/", "http://" + "a." * 127 + "example/", "http://[::1/", "http://::1/", "http://[::1]x/",
    "http://peer/" + "x" * 20_000,
])
def test_a_url_that_could_be_misread_is_refused(url):
    with pytest.raises(OutboundError) as refused:
        target_of(url)
    assert refused.value.kind in ("bad_request", "address_refused") and (url == "" or url not in refused.value.message)


@pytest.mark.parametrize("host", [
    "2852039166", "0xA9FEA9FE", "0xa9.0xfe.0xa9.0xfe", "0251.0376.0251.0376", "169.254.43518", "127.1", "127.0.1", "0177.0.0.1",
    "017700000001", "0", "0x7f000001", "1.2.3.4.5", "256.1.1.1", "1.2.3", "peer.0x7f", "peer.1", "127.0.0.01",
    "[fe80::1%eth0]", "[fe80::1%25eth0]",
])
def test_an_address_in_disguise_is_refused(host):
    with pytest.raises(OutboundError) as refused:
        target_of(f"http://{host}/")
    assert refused.value.kind in ("address_refused", "bad_request")


@pytest.mark.parametrize("address, word", [
    ("0.0.0.0", "unspecified"), ("0.1.2.3", "unspecified"), ("::", "unspecified"), ("::ffff:0.0.0.0", "unspecified"),
    ("169.254.0.1", "link-local"), ("169.254.169.254", "link-local"), ("fe80::1", "link-local"), ("fe80::1%eth0", "link-local"),
    ("febf::1", "link-local"), ("::ffff:169.254.169.254", "link-local"), ("64:ff9b::a9fe:a9fe", "link-local"),
    ("224.0.0.1", "multicast"), ("239.255.255.250", "multicast"), ("ff02::1", "multicast"), ("::ffff:224.0.0.1", "multicast"),
    ("240.0.0.1", "reserved"), ("255.255.255.255", "reserved"), ("192.0.0.8", "reserved"), ("::7f00:1", "reserved"),
    ("2002:7f00:1::", "reserved"), ("2001::1", "reserved"), ("fec0::1", "reserved"), ("64:ff9b:1::1", "reserved"),
    ("4000::1", "reserved"),
    ("100.100.100.200", "metadata"), ("168.63.129.16", "metadata"), ("192.0.0.192", "metadata"), ("fd00:ec2::254", "metadata"),
    ("fd20:ce::254", "metadata"), ("::ffff:168.63.129.16", "metadata"),
    ("127.0.0.1", "loopback"), ("127.9.9.9", "loopback"), ("::1", "loopback"), ("::ffff:127.0.0.1", "loopback"),
    ("64:ff9b::7f00:1", "loopback"), ("peer", "malformed"), ("", "malformed"),
])
def test_an_address_of_no_peer_is_named_for_what_it_is(address, word):
    assert address_fault(address, False) == word


@pytest.mark.parametrize("address", [
    "192.168.1.1", "10.0.0.1", "172.16.0.9", "100.64.0.9", "8.8.8.8", "fd00::1", "2600::1", "::ffff:10.0.0.1", "64:ff9b::808:808",
    "192.0.2.2",
])
def test_an_address_of_a_peer_may_be_called(address):
    assert address_fault(address, False) == ""


def test_loopback_is_called_only_when_allowed_and_nothing_else_with_it():
    for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        assert address_fault(address, True) == ""
    for address in ("169.254.169.254", "0.0.0.0", "fd00:ec2::254"):
        assert address_fault(address, True) != ""


def test_private_networks_can_be_left_out():
    for address in ("192.168.1.1", "10.0.0.1", "100.64.0.9", "fd00::1", "::ffff:10.0.0.1"):
        assert address_fault(address, False, allow_private=False) == "private"
    assert address_fault("8.8.8.8", False, allow_private=False) == ""
