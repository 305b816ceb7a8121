"""/audit answers about single things as they stood, by position and by moment."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from domain.client_configuration import Registration
from domain.provenance import Provenance
from domain.refresh_token_family import IssuedToken
from tests.builders import a_client, stream_id
from tests.http.live import Live
from tests.http.person import SCOPE, a_person, a_web_client
from tests.projections.recording import Recording
from tests.projections.retention.past import family

UNKNOWN = "0197a2b4-6c1e-7d3f-8a55-0f3e2d1c4b6a"


@pytest.fixture(scope="module")
def auditor(live: Live) -> Mapping[str, str]:
    """The Authorization header of a client that may read the audit trail and no more."""
    reader = live.register("past-auditor", scopes=["audit:read"])
    return {"Authorization": f"Bearer {live.token(reader)}"}


def _get(live: Live, auditor: Mapping[str, str], path: str, **query: Any) -> Any:
    response = live.http.get(path, headers=dict(auditor), params=query)
    assert response.status_code == 200, response.text
    return response.json()


def _change(live: Live, client_id: str, **changes: Any) -> None:
    headers = {**live.bearer(), "x-change-reason": "REQ-7"}
    path = f"/admin/clients/{quote(quote(client_id, safe=''), safe='')}"
    assert live.http.patch(path, headers=headers, json=changes).status_code == 200


def test_client(live: Live, auditor: Mapping[str, str]) -> None:
    """A client is shown as it was, and the answer's position gives the same answer for ever."""
    live.register("past-client", scopes=["mcp", "service"])
    then = _get(live, auditor, "/audit/clients/past-client")
    moment = datetime.now(UTC).isoformat()
    _change(live, "past-client", scopes=["mcp"], enabled=False)
    position = then["as_of"]["position"]

    assert (
        _get(live, auditor, "/audit/clients/past-client", as_of=position)["client"]
        == (then["client"])
    )
    assert (
        _get(live, auditor, "/audit/clients/past-client", as_of=moment)["client"]
        == (then["client"])
    )
    assert _get(live, auditor, "/audit/clients/past-client")["client"]["enabled"] is False


def test_client_that_is_a_url(live: Live, auditor: Mapping[str, str]) -> None:
    """A client_id that is a URL comes encoded twice, as elsewhere."""
    client_id = "https://past.example/client"
    document = Registration(source="metadata_document", document="0" * 64)
    with Recording(live.database_url) as log:
        log.record(a_client(client_id=client_id, registration=document))
    path = f"/audit/clients/{quote(quote(client_id, safe=''), safe='')}"

    assert _get(live, auditor, path)["client"]["client_id"] == client_id
    assert _get(live, auditor, f"{path}/diff", **{"from": "0"})["existed"] is False


def test_clients_page_by_page(live: Live, auditor: Mapping[str, str]) -> None:
    """Pages by the position of the first have each client once, whatever is registered between."""
    live.register("past-page", scopes=["mcp"])
    page = _get(live, auditor, "/audit/clients", limit=2)
    position = page["as_of"]["position"]
    live.register("past-too-late", scopes=["mcp"])
    names = [client["client_id"] for client in page["clients"]]
    while page["next_after"] is not None:
        query = {"as_of": position, "after": page["next_after"], "limit": 2}
        page = _get(live, auditor, "/audit/clients", **query)
        names += [client["client_id"] for client in page["clients"]]

    assert names == sorted(set(names))
    assert "past-page" in names
    assert "past-too-late" not in names


def test_diff(live: Live, auditor: Mapping[str, str]) -> None:
    """What changed about a client and a principal is told with who did it and why."""
    live.register("past-diff", scopes=["mcp", "service"])
    position = _get(live, auditor, "/audit/keys")["as_of"]["position"]
    _change(live, "past-diff", scopes=["mcp"])
    found = _get(live, auditor, "/audit/clients/past-diff/diff", **{"from": position})

    assert [change["field"] for change in found["fields"]] == ["scopes"]
    assert [(act["topic"], act["why"]) for act in found["acts"]] == [
        ("client.scopes_changed", "REQ-7")
    ]
    owner = _get(live, auditor, "/audit/principals/owner/diff", **{"from": "0", "to": position})
    assert owner["existed"] is False


def test_principal_and_keys(live: Live, auditor: Mapping[str, str]) -> None:
    """Principals and keys are shown as the administration API shows them."""
    principal = _get(live, auditor, "/audit/principals/owner")["principal"]
    listed = live.http.get("/admin/keys", headers=live.bearer()).json()

    assert principal["subject"] == "owner"
    assert _get(live, auditor, "/audit/keys")["keys"] == listed
    assert _get(live, auditor, "/audit/keys", as_of="0")["keys"] == []


def test_token_and_family(live: Live, auditor: Mapping[str, str]) -> None:
    """A token and its family were live until reuse was seen; before, they still are."""
    client = a_web_client(live, "past-shop")
    tokens = client.tokens_from(a_person(live, "past-person"), scope=SCOPE)
    credentials = (client.client_id, client.secret)
    claims = live.introspect(tokens["access_token"], credentials)
    path = f"/audit/tokens/{claims['jti']}/state"
    before = _get(live, auditor, path)
    assert before["token"]["state"] == "live"

    revoked = live.http.post(
        "/oauth/revoke", auth=credentials, data={"token": tokens["refresh_token"]}
    )
    assert revoked.status_code == 200
    after = _get(live, auditor, path)
    assert after["token"]["state"] == "revoked"
    family = f"/audit/families/{after['token']['family_id']}"
    ended = _get(live, auditor, family)["family"]
    assert [event["what"] for event in ended["timeline"]] == ["family.started", "family.revoked"]
    position = before["as_of"]["position"]
    assert _get(live, auditor, path, as_of=position)["token"] == before["token"]
    assert _get(live, auditor, family, as_of=position)["family"]["state"] == "live"


def test_a_timeline_page_by_page(live: Live, auditor: Mapping[str, str]) -> None:
    """Pages by the position of the first have each event once, whatever happens between; each
    shows the family as it stood.
    """
    rotated, now = family(), Provenance(datetime.now(UTC), "req_1")
    token = IssuedToken(str(stream_id()), now.occurred_at)
    for _ in range(4):
        rotated.rotate(pepper_id="p", token=token, provenance=now)
    path = f"/audit/families/{rotated.id}"
    with Recording(live.database_url) as log:
        log.record(rotated)
        page = _get(live, auditor, path, limit=2)
        rotated.rotate(pepper_id="p", token=token, provenance=now)
        log.record(rotated)
    query = {"as_of": page["as_of"]["position"], "limit": 2}
    pages = [page]
    while page["next_after"] is not None:
        page = _get(live, auditor, path, **query, after=page["next_after"])
        pages.append(page)

    shown = [[event["generation"] for event in one["family"]["timeline"]] for one in pages]
    assert shown == [[1, 2], [3, 4], [5]]
    assert {one["family"]["generation"] for one in pages} == {5}
    whole = _get(live, auditor, path)
    assert (len(whole["family"]["timeline"]), whole["next_after"]) == (6, None)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/audit/clients/nobody", {}),
        ("/audit/clients/demo", {"as_of": "0"}),
        ("/audit/clients/nobody/diff", {"from": "-1d"}),
        ("/audit/clients/demo/diff", {"from": "0", "to": "0"}),
        ("/audit/clients/%2525C3%2525A9", {}),
        ("/audit/principals/nobody", {}),
        ("/audit/principals/nobody/diff", {"from": "-1d"}),
        (f"/audit/tokens/{UNKNOWN}/state", {}),
        ("/audit/tokens/07e4ca6e-88f7-4a86-8337-3cd728d000ab/state", {"as_of": "-1d"}),
        (f"/audit/families/{UNKNOWN}", {}),
        ("/audit/clients/%2500", {}),
        ("/audit/clients/%2500/diff", {"from": "0"}),
        ("/audit/clients/%2500/last-used", {}),
        ("/audit/principals/%2500", {}),
    ],
)
def test_unknown(live: Live, auditor: Mapping[str, str], path: str, query: dict[str, str]) -> None:
    """What did not exist at that moment is not found."""
    response = live.http.get(path, headers=dict(auditor), params=query)

    assert response.status_code == 404, response.text


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/audit/clients/demo", {"as_of": "yesterday"}),
        ("/audit/clients", {"as_of": ""}),
        ("/audit/clients", {"as_of": "9" * 19}),
        ("/audit/clients", {"as_of": "0001-01-01T00:00:00+23:59"}),
        ("/audit/clients", {"as_of": "x" * 65}),
        ("/audit/clients", {"limit": "0"}),
        ("/audit/clients", {"after": "\x00"}),
        ("/audit/keys", {"as_of": "\x00"}),
        ("/audit/principals/owner", {"as_of": "-1y"}),
        (f"/audit/tokens/{UNKNOWN}/state", {"as_of": "1.5"}),
        (f"/audit/families/{UNKNOWN}", {"as_of": "-"}),
        (f"/audit/families/{UNKNOWN}", {"after": "-1"}),
        (f"/audit/families/{UNKNOWN}", {"limit": "501"}),
        ("/audit/clients/demo/diff", {}),
        ("/audit/clients/demo/diff", {"from": "soon"}),
        ("/audit/clients/demo/diff", {"from": "0", "to": "soon"}),
        ("/audit/clients/demo/diff", {"from": "3", "to": "1"}),
        ("/audit/clients/demo/diff", {"from": "-1d", "to": "-2d"}),
        ("/audit/principals/owner/diff", {"from": "3", "to": "1"}),
    ],
)
def test_unreadable(
    live: Live, auditor: Mapping[str, str], path: str, query: dict[str, str]
) -> None:
    """A moment that cannot be read, and two the wrong way round, are the asker's mistake."""
    response = live.http.get(path, headers=dict(auditor), params=query)

    assert response.status_code == 400, response.text
    assert response.json()["error"] == "invalid_request"


@pytest.mark.parametrize(
    "path",
    [
        "/audit/clients",
        "/audit/clients/demo",
        "/audit/clients/demo/diff?from=-1d",
        "/audit/principals/owner",
        "/audit/principals/owner/diff?from=-1d",
        f"/audit/tokens/{UNKNOWN}/state",
        f"/audit/families/{UNKNOWN}",
        "/audit/keys",
    ],
)
def test_scope(live: Live, path: str) -> None:
    """Without a token, or with one for others, it is 401, without `audit:read` 403, whatever is
    asked for.
    """
    nobody = live.http.get(path)
    demo = live.http.get(path, headers={"Authorization": f"Bearer {live.token()}"})
    other = live.http.get(path, headers=live.without_scope())

    assert (nobody.status_code, demo.status_code) == (401, 401)
    assert other.status_code == 403
