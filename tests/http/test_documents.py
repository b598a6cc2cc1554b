"""Stored answers: counted, bounded, never a stranger's."""

import pytest

from ocp_node.base import limits
from ocp_node.contract.route import Auth, Lane, Route
from ocp_node.http.documents import Documents
from ocp_node.http.responses import Responses
from ocp_node.http.wire import parse_head

ROUTE = Route("trial.document", "GET", "/d", "A trial.", Auth.PUBLIC, Lane.INLINE, "document", cached=True)


def head(more="", method="GET", target="/d"):
    raw = f"{method} {target} HTTP/1.1\r\nHost: node{more}".encode()
    return parse_head(raw), raw


def kept(documents, asked, raw):
    document = documents.keep(ROUTE, asked, 1, b"body", "text/plain", ())
    return documents.answer(document, asked, raw, ROUTE.id)


@pytest.mark.parametrize("more, method", [
    ("\r\nAuthorization: Bearer x", "GET"), ("\r\nCookie: a=b", "GET"), ("\r\nX-OCP-Operator-Token: x", "GET"), ("\r\nConnection: close", "GET"),
    ("\r\nContent-Length: 3", "GET"), ("", "HEAD"), ("\r\nX-Long: " + "x" * limits.ANSWER_HEAD_BYTES_MAX, "GET")])
def test_a_head_with_credentials_or_a_body_is_never_answered_again_by_its_bytes(more, method):
    documents = Documents(Responses(lambda: 0))
    kept(documents, *head(more, method))
    assert not documents.answers


def test_answers_are_bounded_and_those_that_went_are_still_counted():
    documents = Documents(Responses(lambda: 0))
    for number in range(limits.ANSWERS_MAX + 5):
        kept(documents, *head(target=f"/d?{number}")).hits = 2
    assert len(documents.answers) <= limits.ANSWERS_MAX
    assert documents.hits() == {("trial.document", 200): 2 * (limits.ANSWERS_MAX + 5)} == documents.hits()
