"""Paths to routes."""

import pytest

from ocp_node.contract.route import Auth, Lane, Route
from ocp_node.http.router import Match, NoMatch, Router, query_texts


def route(method, path):
    return Route(f"trial.{method.lower()}.{path}", method, path, "A trial.", Auth.PUBLIC, Lane.INLINE, "handler")


ROUTER = Router([route("GET", "/mesh/jobs/{job_id}"), route("POST", "/mesh/jobs/submit"), route("POST", "/mesh/jobs/{job_id}/cancel"),
                 route("GET", "/adv/{node_id}"), route("PUT", "/adv/{node_id}"), route("GET", "/adv"), route("GET", "/app/{name}"), route("POST", "/app/run"),
                 route("GET", "/"), route("PUT", "/cap/{node_id}/{capability_id}"), route("PUT", "/cap/{node_id}/{capability_id}/endorsement"),
                 route("GET", "/cap/fixed/{name}"), route("GET", "/mesh/deeds/{deed_id...}"), route("POST", "/mesh/deeds/{deed_id...}/sign"),
                 route("POST", "/mesh/deeds/propose")])


@pytest.mark.parametrize("method, path, found, values", [
    ("GET", "/mesh/jobs/7", "/mesh/jobs/{job_id}", {"job_id": "7"}),
    ("GET", "/mesh/jobs/submit", "/mesh/jobs/{job_id}", {"job_id": "submit"}),
    ("POST", "/mesh/jobs/submit", "/mesh/jobs/submit", {}),
    ("POST", "/mesh/jobs/a%2Fb%2520/cancel", "/mesh/jobs/{job_id}/cancel", {"job_id": "a/b%20"}),
    ("GET", "/adv/node:did:key:z6", "/adv/{node_id}", {"node_id": "node:did:key:z6"}),
    ("GET", "/adv/%ff", "/adv/{node_id}", {"node_id": "%ff"}),
    ("HEAD", "/adv", "/adv", {}),
    ("GET", "/app/run", "/app/{name}", {"name": "run"}),
    ("PUT", "/cap/node:x/a%2Fb", "/cap/{node_id}/{capability_id}", {"node_id": "node:x", "capability_id": "a/b"}),
    ("PUT", "/cap/x/y/endorsement", "/cap/{node_id}/{capability_id}/endorsement", {"node_id": "x", "capability_id": "y"}),
    ("GET", "/cap/fixed/y", "/cap/fixed/{name}", {"name": "y"}),
    ("PUT", "/cap/fixed/y", "/cap/{node_id}/{capability_id}", {"node_id": "fixed", "capability_id": "y"}),
    ("GET", "/mesh/deeds/1", "/mesh/deeds/{deed_id...}", {"deed_id": "1"}),
    ("GET", "/mesh/deeds/a/b/c", "/mesh/deeds/{deed_id...}", {"deed_id": "a/b/c"}),
    ("GET", "/mesh/deeds/a%2Fb/c%20d", "/mesh/deeds/{deed_id...}", {"deed_id": "a/b/c d"}),
    ("GET", "/mesh/deeds/a/sign", "/mesh/deeds/{deed_id...}", {"deed_id": "a/sign"}),
    ("POST", "/mesh/deeds/1/sign", "/mesh/deeds/{deed_id...}/sign", {"deed_id": "1"}),
    ("POST", "/mesh/deeds/a/b/sign", "/mesh/deeds/{deed_id...}/sign", {"deed_id": "a/b"}),
    ("POST", "/mesh/deeds/sign/sign", "/mesh/deeds/{deed_id...}/sign", {"deed_id": "sign"}),
    ("POST", "/mesh/deeds/propose", "/mesh/deeds/propose", {}),
])
def test_a_request_finds_its_route(method, path, found, values):
    match = ROUTER.match(method, path)
    assert isinstance(match, Match) and match.route.path == found and match.values == values


@pytest.mark.parametrize("method, path, allowed", [
    ("GET", "/mesh/jobs/", ()), ("GET", "/mesh/jobs/1/", ()), ("GET", "/Mesh/jobs/1", ()), ("DELETE", "/mesh/jobs/1", ("GET", "HEAD")),
    ("DELETE", "/adv/x", ("GET", "HEAD", "PUT")), ("PUT", "/adv", ("GET", "HEAD")), ("POST", "/", ("GET", "HEAD")), ("GET", "/adv/x/y", ()), ("GET", "", ()),
    ("DELETE", "/app/run", ("GET", "HEAD", "POST")), ("GET", "/cap/x/y", ("PUT",)), ("GET", "/cap//y", ()), ("GET", "/cap/x/y/other", ()),
    ("DELETE", "/cap/fixed/y", ("GET", "HEAD", "PUT")), ("GET", "/mesh/deeds/", ()), ("POST", "/mesh/deeds/a/b", ("GET", "HEAD")),
    ("POST", "/mesh/deeds//sign", ()), ("GET", "/mesh/deeds/a/", ()), ("GET", "/mesh/deeds", ()), ("DELETE", "/mesh/deeds/a/sign", ("GET", "HEAD", "POST")),
])
def test_no_route_says_what_the_path_allows(method, path, allowed):
    match = ROUTER.match(method, path)
    assert isinstance(match, NoMatch) and match.allowed == allowed


def test_two_routes_for_one_request_cannot_start():
    with pytest.raises(ValueError):
        Router([route("GET", "/a/{x}"), route("GET", "/a/{y}")])


@pytest.mark.parametrize("query, texts", [
    ("a=1&a=2&b", {"a": "1", "b": ""}), ("a=x%20y+z&%61=2", {"a": "x y z"}), ("=1&&c=%ff", {}), ("d=e=f", {"d": "e=f"})])
def test_the_first_of_each_query_member_counts(query, texts):
    assert query_texts(query) == texts


def test_a_long_segment_stands_behind_two_literal_ones():
    with pytest.raises(ValueError, match="two literal ones"):
        Router([route("GET", "/deeds/{deed_id...}")])
