"""Who may log in, what a token opens and for how long, and who is kept out."""

from __future__ import annotations

import base64

import pytest

from tests.support.node import FROM_LAN, TrialNode


def basic(name, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with TrialNode(tmp_path_factory.mktemp("node"), appmesh_default_users=True, trusted_proxies=("127.0.0.1",)) as running:
        yield running


@pytest.fixture()
def fresh(tmp_path):
    """A node of its own, for tests that fail log-ins, change users or move the clock."""
    with TrialNode(tmp_path, appmesh_default_users=True, trusted_proxies=("127.0.0.1",)) as running:
        yield running


def login(node, name="admin", password="admin123", **headers):
    answer = node.request("POST", "/appmesh/login", headers={**basic(name, password), **headers})
    assert answer.status == 200, answer
    return answer.json


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def me(node, headers):
    return node.get("/appmesh/user/permissions", headers)


def test_a_node_without_users_makes_one_with_the_password_of_the_file(tmp_path):
    (tmp_path / "password").write_text("  Correct#Horse1 \nsecond line\n")
    with TrialNode(tmp_path / "data", appmesh_admin_password_file=str(tmp_path / "password")) as node:
        assert node.request("POST", "/appmesh/login", headers=basic("admin", "admin123")).status == 401
        token = login(node, password="Correct#Horse1")["access_token"]
        assert list(node.get("/appmesh/users",
                             bearer(token)).json) == ["admin"] and len(node.get("/appmesh/permissions", bearer(token)).json) == 32


def test_a_drawn_password_is_told_once_and_opens(tmp_path, capfd):
    with TrialNode(tmp_path) as node:
        assert node.request("POST", "/appmesh/login", headers=basic("admin", "x")).status == 401
        said = capfd.readouterr().err
        password = said.partition("password: ")[2].split()[0]
        assert len(password) == 20 and said.count("password:") == 1
        login(node, password=password)
    with TrialNode(tmp_path) as node:
        login(node, password=password)
        assert "password:" not in capfd.readouterr().err


def test_an_unknown_user_and_a_wrong_password_are_answered_alike(node):
    answers = [node.request("POST", "/appmesh/login", headers=basic(name, "x")) for name in ("admin", "nobody")]
    assert {(answer.status,
             answer.body) for answer in answers} == {(401, b'{"code":"unauthorized","message":"Authentication failed"}')}


def test_too_many_failures_make_wait_by_user_and_by_address_but_not_at_the_machine_itself(fresh):
    for address in range(10):
        lan = {"X-Forwarded-For": f"192.168.77.{address}"}
        assert fresh.request("POST", "/appmesh/login", headers={**basic("mesh", "x"), **lan}).status == 401
    refused = fresh.request("POST", "/appmesh/login", headers={**basic("mesh", "mesh123"), **FROM_LAN})
    assert refused.status == 429 and 0 < int(refused.headers["retry-after"]) <= 301 and refused.json["code"] == "rate_limited"
    assert fresh.request("POST", "/appmesh/login", headers={**basic("admin", "admin123"), **FROM_LAN}).status == 200
    login(fresh, "mesh", "mesh123")
    for _ in range(10):
        fresh.request("POST", "/appmesh/login", headers={**basic("nobody", "x"), **FROM_LAN})
    assert fresh.request("POST", "/appmesh/login", headers={**basic("admin", "admin123"), **FROM_LAN}).status == 429
    fresh.advance(301)
    assert fresh.request("POST", "/appmesh/login", headers={**basic("admin", "admin123"), **FROM_LAN}).status == 200


def test_a_token_ends_with_its_time_give_or_take_a_minute(fresh):
    token = login(fresh, **{"X-Expire-Seconds": "100"})["access_token"]
    assert me(fresh, bearer(token)).status == 200
    fresh.advance(159)
    assert me(fresh, bearer(token)).status == 200
    fresh.advance(3)
    assert me(fresh, bearer(token)).json["message"] == "Authentication failed: token expired"


def test_logging_off_is_not_undone_by_a_restart(tmp_path):
    with TrialNode(tmp_path, appmesh_default_users=True) as node:
        ended, other = (login(node)["access_token"] for _ in range(2))
        assert node.request("POST", "/appmesh/self/logoff", headers=bearer(ended)).status == 200
        assert me(node, bearer(ended)).json["message"] == "Token has been revoked"
    with TrialNode(tmp_path) as node:
        assert me(node, bearer(ended)).status == 401 and me(node, bearer(other)).status == 200


@pytest.mark.parametrize("token, text", [("", "No authentication token provided"), ("garbage", "invalid token supplied"),
                                         ("a.b.c", "invalid token supplied")])
def test_what_is_no_token_opens_nothing(node, token, text):
    answer = me(node, bearer(token) if token else {})
    assert (answer.status, answer.json["message"]) == (401, text)


def test_a_forged_token_is_refused_even_where_the_caller_is_only_shown(node):
    head, claims, _ = login(node)["access_token"].split(".")
    forged = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    for token in (f"{head}.{claims}.AAAA", f"{forged}.{claims}.", f"{head}.{claims}."):
        assert node.get("/appmesh/user/self", bearer(token)).status == 401


def test_a_cookie_speaks_for_pages_of_this_host_alone(node):
    token = login(node)["access_token"]
    cookie = {"Cookie": f"appmesh_auth_token={token}"}
    own, foreign = f"http://127.0.0.1:{node.port}", "https://evil.example"
    assert node.request("POST", "/appmesh/auth", headers=cookie).status == 200
    assert node.request("POST", "/appmesh/auth", headers={**cookie, "Origin": own}).status == 200
    answer = node.request("POST", "/appmesh/auth", headers={**cookie, "Origin": foreign})
    assert (answer.status, answer.json["message"]) == (403, "CSRF validation failed: origin not allowed")
    assert node.request("POST", "/appmesh/token/renew", headers={**cookie, "Origin": foreign}).status == 403
    assert node.request("POST", "/appmesh/self/logoff", headers={**cookie, "Origin": foreign}).status == 403
    assert node.request("POST", "/appmesh/auth", headers={**cookie, **bearer(token), "Origin": foreign}).status == 200


def test_the_client_keeps_its_token_in_the_cookie_it_asked_for(node):
    answer = node.request("POST", "/appmesh/login", headers={**basic("admin", "admin123"), "X-Set-Cookie": "true"})
    token = answer.json["access_token"]
    assert answer.headers["set-cookie"] == f"appmesh_auth_token={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age=604800"
    assert answer.headers["cache-control"] == "no-store" and "set-cookie" not in node.request("POST", "/appmesh/auth",
                                                                                              headers=bearer(token)).headers
    renewed = node.request("POST", "/appmesh/token/renew", headers={"Cookie": f"appmesh_auth_token={token}"})
    assert renewed.json["access_token"] in renewed.headers["set-cookie"]
    left = node.request("POST", "/appmesh/self/logoff", headers={"Cookie": f"appmesh_auth_token={renewed.json['access_token']}"})
    assert left.status == 200 and left.body == b"" and "Max-Age=0" in left.headers["set-cookie"]


def test_a_refresh_token_is_good_once_and_for_nothing_else(node):
    first = login(node, **{"X-Refresh-Token-Request": "true", "X-Expire-Seconds": "600"})
    assert me(node, bearer(first["refresh_token"])).status == 401
    renewed = node.request("POST", "/appmesh/token/renew", headers={"X-Refresh-Token": first["refresh_token"]}).json
    assert me(node, bearer(renewed["access_token"])).status == 200 == me(node, bearer(first["access_token"])).status
    again = node.request("POST", "/appmesh/token/renew", headers={"X-Refresh-Token": first["refresh_token"]})
    assert (again.status, again.json["message"]) == (401, "Refresh token has been revoked")
    wrong = node.request("POST", "/appmesh/token/renew", headers={"X-Refresh-Token": first["access_token"]})
    assert "audience" in wrong.json["message"] and wrong.status == 401
    off = node.request("POST", "/appmesh/self/logoff", headers={"X-Refresh-Token": renewed["refresh_token"]})
    assert off.status == 200 and node.request("POST", "/appmesh/self/logoff",
                                              headers={"X-Refresh-Token": renewed["refresh_token"]}).status == 401


def test_a_token_for_another_service_opens_nothing_here(node):
    token = login(node, **{"X-Audience": "your-service-api"})["access_token"]
    assert me(node, bearer(token)).status == 401
    assert node.request("POST", "/appmesh/auth", headers={**bearer(token), "X-Audience": "your-service-api"}).status == 200
    for audience, text in (("appmesh-refresh", "illegal audience"), ("x", "Audience <x> verification failed")):
        answer = node.request("POST", "/appmesh/login", headers={**basic("admin", "admin123"), "X-Audience": audience})
        assert (answer.status, answer.json["message"]) == (400, text)


def test_locking_and_a_new_password_end_every_token(fresh):
    admin, mesh = bearer(login(fresh)["access_token"]), bearer(login(fresh, "mesh", "mesh123")["access_token"])
    assert fresh.post("/appmesh/user/mesh/lock", headers=admin).status == 200
    assert me(fresh, mesh).json["message"] == "User <mesh> was locked"
    assert fresh.request("POST", "/appmesh/login", headers=basic("mesh", "mesh123")).status == 401
    assert fresh.post("/appmesh/user/mesh/unlock", headers=admin).status == 200 and me(fresh, mesh).status == 401
    mesh = bearer(login(fresh, "mesh", "mesh123")["access_token"])
    assert me(fresh, mesh).status == 200
    change = {"new_password": base64.b64encode(b"Other#123").decode()}
    missing = fresh.post("/appmesh/user/self/passwd", change, mesh)
    assert (missing.status, missing.json["message"]) == (400, "can not find old password from body")
    wrong = fresh.post("/appmesh/user/self/passwd", {**change, "old_password": "eA=="}, mesh)
    assert wrong.json["message"] == "old password for user <mesh> is incorrect"
    assert fresh.post("/appmesh/user/self/passwd", {**change, "old_password": base64.b64encode(b"mesh123").decode()},
                      mesh).status == 200
    assert me(fresh, mesh).json["message"] == "Token has been revoked"
    login(fresh, "mesh", "Other#123")
    assert fresh.post("/appmesh/user/mesh/passwd", {"new_password": base64.b64encode(b"Reset#123").decode()},
                      admin).status == 200     # an administrator's reset
    login(fresh, "mesh", "Reset#123")
    assert fresh.post("/appmesh/user/admin/lock",
                      headers=admin).status == 400 == fresh.request("DELETE", "/appmesh/user/admin", headers=admin).status


def test_whoever_gets_the_name_of_a_deleted_user_is_not_opened_by_its_tokens(fresh):
    admin, bob = bearer(login(fresh)["access_token"]), {"key": "first-password", "roles": ["view"]}

    def put():
        assert fresh.request("PUT", "/appmesh/user/bob", bob, admin).status == 200

    put()
    old = login(fresh, "bob", "first-password", **{"X-Refresh-Token-Request": "true"})
    assert fresh.request("DELETE", "/appmesh/user/bob", headers=admin).status == 200
    put()
    assert me(fresh, bearer(old["access_token"])).status == 401
    assert fresh.request("POST", "/appmesh/token/renew", headers={"X-Refresh-Token": old["refresh_token"]}).status == 401
    assert me(fresh, bearer(login(fresh, "bob", "first-password")["access_token"])).status == 200
    assert me(fresh, admin).status == 200


def test_what_a_role_lacks_is_refused_by_name(node):
    mesh = bearer(login(node, "mesh", "mesh123")["access_token"])
    answer = node.request("PUT", "/appmesh/app/x", {"command": "true"}, mesh)
    text = "Permission denied: user 'mesh' lacks required permission 'app-reg'"
    assert (answer.status, answer.json) == (403, {"code": "policy_denied", "message": text})
    assert node.post("/appmesh/user/admin/passwd", {"new_password": "eA=="}, mesh).status == 403


def test_nothing_is_forwarded_to_another_host(node):
    answer = node.get("/appmesh/user/self", {**bearer(login(node)["access_token"]), "X-Target-Host": "192.0.2.1:8421"})
    assert (answer.status, answer.json["message"]) == (403, "forwarding is not allowed")


@pytest.mark.parametrize("raw", [b"", b"null", b"[]", b"3", b'"x"', b"{", b'{"command":[]}',
                                 b'{"command":"true","status":99999999999999999999999}',
                                 b'{"behavior":{"control":{"1":null}}}', b"[" * 5000, b'{"env":{"A":null},"command":"x"}',
                                 b'{"metadata":"\\ud800","command":"x"}'])
def test_no_body_breaks_the_node(node, raw):
    admin = bearer(login(node)["access_token"])
    for method, path in (("PUT", "/appmesh/app/x"), ("PUT", "/appmesh/user/x"), ("POST", "/appmesh/role/x"),
                         ("POST", "/appmesh/user/self/passwd"),
                         ("POST", "/appmesh/app/run"), ("POST", "/appmesh/app/syncrun")):
        answer = node.request(method, path, headers=admin, raw=raw)
        assert answer.status == 400 or path.endswith("/role/x") and raw == b"[]", (method, path, answer)
        assert set(answer.json) >= {"message"}
