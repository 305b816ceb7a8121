"""/admin and /audit over HTTP: who is let in, what is refused how, and what is recorded."""

from typing import Any

import pytest

from tests.http.live import REVOKE, Live
from tests.waiting import eventually

ROUTES = (
    ("GET", "/admin/clients"),
    ("POST", "/admin/clients"),
    ("GET", "/admin/clients/demo"),
    ("PATCH", "/admin/clients/demo"),
    ("POST", "/admin/clients/demo/rotate-secret"),
    ("GET", "/admin/principals"),
    ("POST", "/admin/principals"),
    ("GET", "/admin/principals/owner"),
    ("PUT", "/admin/principals/owner/roles"),
    ("POST", "/admin/principals/owner/deactivate"),
    ("GET", "/admin/keys"),
    ("POST", "/admin/keys/rotate"),
    ("GET", "/audit/tokens/00000000-0000-7000-8000-000000000000"),
    ("GET", "/audit/events"),
    ("GET", "/audit/clients/demo/last-used"),
    ("GET", "/reports"),
    ("GET", "/reports/client-inventory"),
)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_needs_a_token_of_ours_with_its_scope(
    live: Live, method: str, path: str
) -> None:
    """None, a forged one, one in the query, one for others, and one without the scope: all are
    refused.
    """
    token = live.token()
    answers = [
        live.http.request(method, path),
        live.http.request(method, path, headers={"authorization": "Bearer x.y.z"}),
        live.http.request(method, path, auth=live.administration),
        live.http.request(method, path, params={"access_token": token}),
        live.http.request(method, path, headers={"authorization": f"Bearer {token}"}),
        live.http.request(method, path, headers=live.without_scope()),
    ]

    assert [answer.status_code for answer in answers] == [401, 401, 401, 401, 401, 403]
    assert answers[5].json()["error"] == "insufficient_scope"
    for answer in answers:
        assert answer.headers["www-authenticate"].startswith('Bearer realm="grantledger"')


def test_a_revoked_token_opens_nothing(live: Live) -> None:
    """Our own endpoints read the log for each token."""
    token = live.token(live.administration)
    headers = {"authorization": f"Bearer {token}"}
    before = live.http.get("/admin/keys", headers=headers).status_code
    live.http.post(REVOKE, auth=live.administration, data={"token": token}).raise_for_status()

    assert before == 200
    assert live.http.get("/admin/keys", headers=headers).status_code == 401


def test_a_token_for_another_audience_opens_nothing(live: Live) -> None:
    """RFC 9068, Section 4: the audience has to be this service."""
    audiences = {"allowed": ["https://other.example"], "default": ["https://other.example"]}
    client = live.register("elsewhere", scopes=["clients:manage"], audiences=audiences)
    eventually(lambda: live.ask_token(client).status_code == 200)
    headers = {"authorization": f"Bearer {live.token(client)}"}

    assert live.http.get("/admin/keys", headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("body", "error", "says"),
    [
        ({"client_id": "a b"}, "invalid_request", "client_id"),
        ({}, "invalid_request", "client_id"),
        ({"client_id": "ok", "bogus": 1}, "invalid_request", "bogus"),
        ({"client_id": "ok", "scopes": ["nope"]}, "invalid_scope", "nope"),
        ({"client_id": "ok", "grant_types": ["password"]}, "invalid_request", "password"),
        ({"client_id": "ok", "client_type": "public"}, "invalid_request", "public client"),
        ({"client_id": "ok", "owner": "nobody"}, "invalid_request", "nobody"),
        ({"client_id": "ok", "tokens": {"lifetime": 0}}, "invalid_request", "lifetime"),
        ({"client_id": "ok", "tokens": {"lifetime": 90_000}}, "invalid_request", "lifetime"),
        ({"client_id": "ok", "audiences": {"default": ["x"]}}, "invalid_request", "allowed"),
    ],
)
def test_a_wrong_registration_names_what_is_wrong(
    live: Live, body: dict[str, Any], error: str, says: str
) -> None:
    """A mistake of an administrator is a 400 that names the field, and registers nothing."""
    response = live.http.post("/admin/clients", headers=live.bearer(), json=body)

    assert response.status_code == 400, response.text
    assert response.json()["error"] == error
    assert says in response.json()["error_description"]
    assert live.http.get("/admin/clients/ok", headers=live.bearer()).status_code == 404


def test_malformed_json_and_taken_names_are_told_apart(live: Live) -> None:
    """400 for what cannot be read, 409 for a name that is taken, 404 for one that is not there."""
    headers = {**live.bearer(), "content-type": "application/json"}
    malformed = live.http.post("/admin/clients", headers=headers, content="{bad")
    taken = live.http.post("/admin/clients", headers=headers, json={"client_id": "demo"})
    missing = live.http.patch("/admin/clients/nobody", headers=headers, json={"scopes": []})

    assert malformed.status_code == 400
    assert taken.status_code == 409
    assert missing.status_code == 404


def test_a_secret_is_shown_once_and_rotates_with_overlap(live: Live) -> None:
    """Old and new work side by side, then only the new; no answer ever shows one again."""
    client_id, first = live.register("rotating", scopes=["service"])
    eventually(lambda: live.ask_token((client_id, first)).status_code == 200)
    path = f"/admin/clients/{client_id}"
    rotated = live.http.post(
        f"{path}/rotate-secret", headers=live.bearer(), json={"overlap_seconds": 2}
    )
    second = rotated.json()["client_secret"]
    shown = live.http.get(path, headers=live.bearer())

    assert rotated.status_code == 201
    assert rotated.headers["cache-control"] == "no-store"
    eventually(lambda: live.ask_token((client_id, second)).status_code == 200)
    assert live.ask_token((client_id, first)).status_code == 200
    eventually(lambda: live.ask_token((client_id, first)).status_code == 401)
    assert live.ask_token((client_id, second)).status_code == 200
    assert first not in shown.text
    assert second not in shown.text


def test_who_did_it_and_why_is_in_the_audit_trail(live: Live) -> None:
    """An administrative act carries its actor and the reason that was given."""
    live.http.post(
        "/admin/principals",
        headers={**live.bearer(), "x-change-reason": "ticket 7"},
        json={"subject": "somebody", "roles": ["user"]},
    ).raise_for_status()
    live.http.put(
        "/admin/principals/somebody/roles", headers=live.bearer(), json={"roles": ["admin"]}
    ).raise_for_status()
    entries = live.audit(subject="somebody")

    assert [entry["topic"] for entry in entries] == [
        "principal.roles_assigned",
        "principal.registered",
    ]
    assert entries[1]["actor"] == "administration"
    assert entries[1]["reason"] == "ticket 7"


def test_the_audit_trail_pages_by_position(live: Live) -> None:
    """The cursor leads through everything once, filters and all."""
    for _ in range(5):
        live.token()
    everything = live.audit(topic="token.issued", client_id="demo", newest_first=False)
    paged: list[dict[str, Any]] = []
    after = 0
    while True:
        page = live.http.get(
            "/audit/events",
            headers=live.bearer(),
            params={"topic": "token.issued", "client_id": "demo", "after": after, "limit": 2},
        ).json()
        paged += page["entries"]
        if page["next_after"] is None:
            break
        after = page["next_after"]

    assert paged[: len(everything)] == everything
    assert len(everything) >= 5


def test_last_used_counts_every_token(live: Live) -> None:
    """Client, credential and scope are counted exactly."""
    client = live.register("counted", scopes=["service", "mcp"])
    eventually(lambda: live.ask_token(client, scope="service").status_code == 200)
    for _ in range(3):
        live.token(client, scope="mcp")
    eventually(live.projected)
    issued = len(live.audit(client_id="counted", topic="token.issued"))
    used = live.http.get("/audit/clients/counted/last-used", headers=live.bearer()).json()
    counts = {(row["kind"], row["name"]): row["uses"] for row in used}

    assert counts["client", ""] == issued
    assert counts["scope", "mcp"] == 3
    assert counts["scope", "service"] == issued - 3
