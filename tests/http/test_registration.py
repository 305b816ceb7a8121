"""Clients register themselves, are used, managed and deleted: over real HTTP, by two workers."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from requests_oauthlib import OAuth2Session

from tests.application.people.upstream_provider import SigningKey
from tests.application.registration.document_server import DocumentServer, document_server
from tests.cli.running_service import running_service
from tests.http.live import TOKEN, Live
from tests.http.person import CALLBACK, WebClient, a_person, challenge
from tests.http.test_private_key_jwt import a_proof
from tests.postgres import Postgres
from tests.waiting import eventually

REGISTER = "/oauth/register"
WEB = {
    "client_name": "Shop",
    "redirect_uris": [CALLBACK],
    "token_endpoint_auth_method": "none",
    "grant_types": ["authorization_code", "refresh_token"],
}
MACHINE = {"grant_types": ["client_credentials"], "scope": "mcp"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DocumentServer]:
    """A host that publishes documents, with a certificate for localhost."""
    with document_server(tmp_path_factory.mktemp("documents")) as running:
        yield running


@pytest.fixture(scope="module")
def opened(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory, server: DocumentServer
) -> Iterator[Live]:
    """A service where registration is open, with a hook and metadata documents."""
    settings = {
        "GRANTLEDGER_REGISTRATION": "open",
        "GRANTLEDGER_REGISTRATION_SCOPES": "openid,profile,offline_access,mcp",
        "GRANTLEDGER_REGISTRATION_GRANT_TYPES": (
            "authorization_code,refresh_token,client_credentials,"
            "urn:ietf:params:oauth:grant-type:device_code"
        ),
        "GRANTLEDGER_REGISTRATION_HOOK": "tests.http.registration_hook:vet",
        "GRANTLEDGER_CLIENT_ID_METADATA_DOCUMENTS": "true",
        "GRANTLEDGER_CLIENT_PRIVATE_HOSTS": "localhost",
        "SSL_CERT_FILE": str(server.certificate),
    }
    with ExitStack() as stack:
        yield _started(stack, postgres, tmp_path_factory.mktemp("opened"), settings)


@pytest.fixture(scope="module")
def invited(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service that registers who has an initial access token, all else by default."""
    settings = {"GRANTLEDGER_REGISTRATION": "initial_access_token"}
    with ExitStack() as stack:
        yield _started(stack, postgres, tmp_path_factory.mktemp("invited"), settings)


def _started(stack: ExitStack, postgres: Postgres, folder: Path, settings: dict[str, Any]) -> Live:
    url = stack.enter_context(postgres.database())
    service = stack.enter_context(
        running_service(folder, "--workers", "2", DATABASE_URL=url, **settings)
    )
    http = stack.enter_context(httpx.Client(base_url=service.url, timeout=20))
    return Live(service, http, url)


def register(live: Live, **members: Any) -> dict[str, Any]:
    """Register a client, which must succeed, and return what is told about it."""
    answered = live.http.post(REGISTER, json=members)
    assert answered.status_code == 201, answered.text
    told: dict[str, Any] = answered.json()
    return told


def bearer(token: str) -> dict[str, str]:
    """Return the header of a token."""
    return {"Authorization": f"Bearer {token}"}


def manage(live: Live, told: dict[str, Any], method: str = "GET", **options: Any) -> httpx.Response:
    """Manage a registration with its own token, on a connection of its own."""
    headers = bearer(told["registration_access_token"])
    return httpx.request(method, told["registration_client_uri"], headers=headers, **options)


def test_a_public_client_from_registration_to_deletion(opened: Live) -> None:
    """Registered, it is used at once by any worker, read, updated, and gone at once."""
    told = register(opened, **WEB)
    found = opened.http.get("/.well-known/oauth-authorization-server").json()
    person = a_person(opened, "rita")
    client = WebClient(opened, told["client_id"])
    tokens = client.tokens_from(person, scope="openid offline_access")
    read = manage(opened, told)
    changed = manage(
        opened,
        told,
        "PUT",
        json={
            **WEB,
            "client_id": told["client_id"],
            "client_name": "Shop 2",
            "scope": "openid offline_access",
        },
    )
    refreshed = client.refresh(tokens["refresh_token"])
    deleted = manage(opened, told, "DELETE")
    after = [manage(opened, told, method).status_code for method in ("GET", "DELETE")]
    last = client.refresh(refreshed.json()["refresh_token"])
    page = person.open("/oauth/authorize", **client.parameters())
    trail = [entry["topic"] for entry in opened.audit(client_id=told["client_id"])]

    assert found["registration_endpoint"] == f"{opened.service.url}{REGISTER}"
    assert "client_secret" not in told
    assert told["scope"] == "mcp openid profile offline_access"
    assert read.json() == told
    assert (changed.status_code, changed.json()["client_name"]) == (200, "Shop 2")
    assert changed.json()["scope"] == "openid offline_access"
    assert refreshed.status_code == 200
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert after == [401, 401]
    assert (last.status_code, last.json()["error"]) == (401, "invalid_client")
    assert "not known here" in page.text
    assert {"client.registered", "client.renamed", "client.disabled"} <= set(trail)
    assert told["registration_access_token"] not in opened.service.log


def test_a_client_library_uses_what_it_registered(
    opened: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """requests-oauthlib, told nothing but what registration answered, gets tokens by PKCE."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    told = register(opened, **WEB)
    person = a_person(opened, "rosa")
    session = OAuth2Session(told["client_id"], redirect_uri=CALLBACK, scope=["openid"], pkce="S256")
    url, _ = session.authorization_url(f"{opened.service.url}/oauth/authorize")
    page = person.open(url.removeprefix(opened.service.url))
    consent = person.log_in(page)
    back = person.allow(consent).headers["location"]
    tokens = session.fetch_token(
        f"{opened.service.url}{TOKEN}", authorization_response=back, include_client_id=True
    )

    assert "nobody here has checked it" in consent.text
    assert tokens["scope"] == ["openid"]


def test_a_confidential_client(opened: Live) -> None:
    """Its secret is told once, works at once at every worker, and is not read again."""
    told = register(opened, **MACHINE)
    secret = told["client_secret"]
    statuses = [
        httpx.post(
            f"{opened.service.url}{TOKEN}",
            auth=(told["client_id"], secret),
            data={"grant_type": "client_credentials"},
        ).status_code
        for _ in range(8)
    ]
    read = manage(opened, told).json()
    trail = opened.audit(client_id=told["client_id"], topic="client.registered")

    assert statuses == [200] * 8
    assert told["client_secret_expires_at"] == 0
    assert "client_secret" not in read
    assert secret not in json.dumps(opened.audit(client_id=told["client_id"]))
    assert trail[0]["actor"] == "open registration"
    assert trail[0]["detail"]["registration"]["source"] == "dynamic"


def test_by_a_key(opened: Live) -> None:
    """private_key_jwt with keys of the registration."""
    key = SigningKey.make("ES256")
    told = register(
        opened,
        **MACHINE,
        token_endpoint_auth_method="private_key_jwt",
        jwks={"keys": [key.published]},
    )
    answered = opened.http.post(TOKEN, data=a_proof(opened, key, told["client_id"]))

    assert answered.status_code == 200, answered.text
    assert told["jwks"] == {"keys": [key.published]}


def test_keys_inside_are_not_fetched(opened: Live) -> None:
    """A stranger's jwks_uri leads to public addresses alone, though it may be registered."""
    key = SigningKey.make("ES256")
    told = register(
        opened,
        **MACHINE,
        token_endpoint_auth_method="private_key_jwt",
        jwks_uri="https://127.0.0.1/jwks",
    )
    answered = opened.http.post(TOKEN, data=a_proof(opened, key, told["client_id"]))
    denials = {"client_id": told["client_id"], "topic": "grant.denied"}
    eventually(lambda: bool(opened.audit(**denials)))
    (entry, *_) = opened.audit(**denials)

    assert (answered.status_code, answered.json()["error"]) == (401, "invalid_client")
    assert "a private address" in entry["reason"]
    assert "private address" not in answered.text


BAD_BODIES = (
    ("no JSON", {"content": b"{"}, 400, "invalid_request"),
    ("no object", {"content": b"[]"}, 400, "invalid_request"),
    ("nothing", {"content": b""}, 400, "invalid_request"),
    ("a name twice", {"content": b'{"scope": "a", "scope": "b"}'}, 400, "invalid_request"),
    ("not UTF-8", {"content": b'{"client_name": "\xff"}'}, 400, "invalid_request"),
    ("too deep", {"content": b'{"a":' * 20_000 + b"1" + b"}" * 20_000}, 413, "invalid_request"),
    ("deep", {"content": b'{"a":' * 9_000 + b"1" + b"}" * 9_000}, 400, "invalid_request"),
    (
        "nested keys",
        {"content": b'{"jwks":{"keys":[{"x":' + b"[" * 700 + b"]" * 700 + b"}]}}"},
        400,
        "invalid_client_metadata",
    ),
    ("no number", {"content": b'{"a": NaN}'}, 400, "invalid_request"),
    ("long number", {"content": b'{"a": ' + b"9" * 5000 + b"}"}, 400, "invalid_request"),
    ("too long", {"content": b'{"a": "' + b"x" * 70_000 + b'"}'}, 413, "invalid_request"),
    (
        "a form",
        {"content": b"a=b", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        400,
        "invalid_request",
    ),
    ("no type", {"content": b"{}", "headers": {"Content-Type": ""}}, 400, "invalid_request"),
    ("script", {"json": {"redirect_uris": ["javascript:alert(1)"]}}, 400, "invalid_redirect_uri"),
    ("admin", {"json": {**WEB, "scope": "admin"}}, 400, "invalid_client_metadata"),
    (
        "half a character",
        {"json": {**WEB, "client_name": "\ud800"}},
        400,
        "invalid_client_metadata",
    ),
    ("by the hook", {"json": {**WEB, "client_name": "Official"}}, 400, "invalid_client_metadata"),
    (
        "statement",
        {"json": {**WEB, "software_statement": "e30.e30.e30"}},
        400,
        "unapproved_software_statement",
    ),
    ("password", {"json": WEB, "headers": {"Authorization": "Basic YTpi"}}, 400, "invalid_request"),
    ("bad token", {"json": WEB, "headers": bearer("gli_x")}, 401, "invalid_token"),
)


@pytest.mark.parametrize(
    ("description", "sent", "status", "code"), BAD_BODIES, ids=[row[0] for row in BAD_BODIES]
)
def test_what_is_no_registration(
    opened: Live, description: str, sent: dict[str, Any], status: int, code: str
) -> None:
    """An OAuth error that pages of any origin may read, never a 500."""
    headers = {"Content-Type": "application/json", **sent.pop("headers", {})}
    body = sent.get("content") or json.dumps(sent.get("json")).encode()
    content = sent.get("content", body)
    answered = opened.http.post(REGISTER, content=content, headers=headers)

    assert (answered.status_code, answered.json()["error"]) == (status, code), answered.text
    assert answered.headers["access-control-allow-origin"] == "*"
    assert answered.headers["cache-control"] == "no-store"
    assert answered.json()["request_id"] == answered.headers["x-request-id"]


def test_a_hook_that_fails_is_our_fault(opened: Live) -> None:
    """A 500 without its text; nothing is registered."""
    answered = opened.http.post(REGISTER, json={**WEB, "software_id": "fails"})

    assert (answered.status_code, answered.json()["error"]) == (500, "server_error")
    assert "hidden-detail" not in answered.text
    assert "hidden-detail" in opened.service.log


def test_browsers_may_ask_first(opened: Live) -> None:
    """The preflight names methods and headers; it needs no token and says nothing of clients."""
    for path in (REGISTER, f"{REGISTER}/dyn-x"):
        answered = opened.http.request("OPTIONS", path, headers={"Origin": "https://app.example"})
        assert answered.status_code == 204
        assert answered.headers["access-control-allow-origin"] == "*"
        assert "Authorization" in answered.headers["access-control-allow-headers"]
    assert opened.http.get(REGISTER).status_code == 405


def test_nobody_elses_registration(opened: Live) -> None:
    """Another client's token, none, or an unknown client: 401 in one text, and nothing changes."""
    mine, other = register(opened, **WEB), register(opened, **WEB)
    tries = [
        (mine["registration_client_uri"], bearer(other["registration_access_token"])),
        (mine["registration_client_uri"], {}),
        (mine["registration_client_uri"] + "x", bearer(mine["registration_access_token"])),
        (f"{opened.service.url}{REGISTER}/administration", bearer("glr_x")),
        (f"{opened.service.url}{REGISTER}/%ff%00", bearer("glr_x")),
    ]
    evil = {**WEB, "client_id": mine["client_id"], "redirect_uris": ["https://evil.example/"]}
    answers = [
        httpx.request(method, url, headers=headers, json=evil if method == "PUT" else None)
        for url, headers in tries
        for method in ("GET", "PUT", "DELETE")
    ]
    more = manage(
        opened, mine, "PUT", json={**WEB, "client_id": mine["client_id"], "scope": "openid user"}
    )

    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.json()["error_description"] for answer in answers}) == 1
    assert all("Bearer" in answer.headers["www-authenticate"] for answer in answers)
    assert manage(opened, mine).json() == mine
    assert more.json()["error"] == "invalid_client_metadata"


def test_by_invitation(invited: Live) -> None:
    """An administrator issues a token, who holds it registers once; with a revoked one nobody."""
    issued = invited.http.post(
        "/admin/registration-tokens", headers=invited.bearer(), json={"max_uses": 1}
    )
    access = issued.json()
    token = access["initial_access_token"]
    without = invited.http.post(REGISTER, json=WEB)
    first = invited.http.post(REGISTER, json=WEB, headers=bearer(token))
    second = invited.http.post(REGISTER, json=WEB, headers=bearer(token))
    machine = invited.http.post(REGISTER, json=MACHINE, headers=bearer(token))
    revoked = invited.http.post(
        "/admin/registration-tokens", headers=invited.bearer(), json={"max_uses": 5}
    ).json()
    act = f"/admin/registration-tokens/{revoked['access_id']}/revoke"
    invited.http.post(act, headers=invited.bearer(), json={})
    after = invited.http.post(REGISTER, json=WEB, headers=bearer(revoked["initial_access_token"]))
    listed = invited.http.get("/admin/registration-tokens", headers=invited.bearer())
    missing = invited.http.post(
        "/admin/registration-tokens/0/revoke", headers=invited.bearer(), json={}
    )
    client = invited.http.get(
        f"/admin/clients/{first.json()['client_id']}", headers=invited.bearer()
    ).json()

    assert issued.status_code == 201
    assert (without.status_code, without.json()["error"]) == (401, "invalid_token")
    assert first.status_code == 201
    assert first.json()["scope"] == "openid profile offline_access"
    assert [second.status_code, machine.status_code, after.status_code] == [401, 401, 401]
    assert [one["usable"] for one in listed.json()] == [False, False]
    assert listed.json()[0]["clients"] == [first.json()["client_id"]]
    assert token not in listed.text
    assert missing.status_code == 404
    assert client["registration"]["initial_access_id"] == access["access_id"]
    for wrong in ({"max_uses": 0}, {"lifetime": 0}, {"lifetime": 10**9}, {"uses": 1}):
        answered = invited.http.post(
            "/admin/registration-tokens", headers=invited.bearer(), json=wrong
        )
        assert answered.status_code == 400


def test_an_invitation_ends(invited: Live) -> None:
    """After its lifetime a token registers nobody, however many uses are left."""
    token = invited.http.post(
        "/admin/registration-tokens",
        headers=invited.bearer(),
        json={"max_uses": 1000, "lifetime": 1},
    ).json()["initial_access_token"]

    def ended() -> bool:
        answered = invited.http.post(REGISTER, json=WEB, headers=bearer(token))
        return answered.status_code == 401

    eventually(ended)
    told = invited.http.post(REGISTER, json=WEB, headers=bearer(token)).json()

    assert told["error"] == "invalid_token"
    assert "expired, revoked, used up" in told["error_description"]


def test_the_document_describes_it(live: Live) -> None:
    """Registration and its management are in the OpenAPI document, with their errors."""
    paths = live.http.get("/schema/openapi.json").json()["paths"]
    managed = paths["/oauth/register/{client_id}"]

    assert {"201", "400", "401", "404", "413"} <= paths[REGISTER]["post"]["responses"].keys()
    assert {"get", "put", "delete"} <= managed.keys()
    assert "204" in managed["delete"]["responses"]


def test_the_last_use_is_one_on_all_workers(invited: Live) -> None:
    """Of many registrations with one token, one after the other at any worker, one succeeds."""
    token = invited.http.post(
        "/admin/registration-tokens", headers=invited.bearer(), json={}
    ).json()["initial_access_token"]
    statuses = [
        httpx.post(
            f"{invited.service.url}{REGISTER}", json=WEB, headers=bearer(token), timeout=20
        ).status_code
        for _ in range(6)
    ]

    assert statuses == [201] + [401] * 5


def test_closed_is_the_default(live: Live) -> None:
    """Nothing is announced, nothing answers; a client_id that is a URL is nobody."""
    found = live.http.get("/.well-known/oauth-authorization-server").json()
    answered = live.http.post(REGISTER, json=WEB)
    page = live.http.get("/oauth/authorize", params={"client_id": "https://localhost:1/app.json"})

    assert not {"registration_endpoint", "client_id_metadata_document_supported"} & found.keys()
    assert (answered.status_code, answered.json()["error"]) == (404, "not_found")
    assert "not known here" in page.text


def test_a_client_known_by_its_document(opened: Live, server: DocumentServer) -> None:
    """From the document to tokens; the consent page names its host; administrators find it."""
    url = server.publish("/shop/client.json")
    found = opened.http.get("/.well-known/oauth-authorization-server").json()
    person = a_person(opened, "dora")
    client = WebClient(opened, url)
    page = person.open("/oauth/authorize", **client.parameters(scope="openid offline_access"))
    consent = person.log_in(page)
    code = person.allow(consent).headers["location"].split("code=")[1].split("&")[0]
    tokens = client.redeem(code).json()
    refreshed = client.refresh(tokens["refresh_token"]).json()
    twice = url.replace("%", "%25").replace("/", "%252F").replace(":", "%253A")
    shown = opened.http.get(f"/admin/clients/{twice}", headers=opened.bearer())
    (entry,) = opened.audit(client_id=url, topic="client.registered")
    disabled = opened.http.patch(
        f"/admin/clients/{twice}", headers=opened.bearer(), json={"enabled": False}
    )
    last = client.refresh(refreshed["refresh_token"])

    assert found["client_id_metadata_document_supported"] is True
    assert "It is published at" in consent.text
    assert f"<strong>{url.split('/')[2]}</strong>" in consent.text
    assert tokens["scope"] == "openid offline_access"
    assert shown.json()["registration"]["source"] == "metadata_document"
    assert entry["actor"] == "metadata document"
    assert disabled.status_code == 200
    assert last.status_code == 401


def test_a_document_with_pushed_requests(opened: Live, server: DocumentServer) -> None:
    """A client may appear at the pushed authorization request endpoint as well."""
    url = server.publish("/pushing.json")
    client = WebClient(opened, url)
    pushed = opened.http.post("/oauth/par", data=client.parameters(scope="openid"))
    person = a_person(opened, "paula")
    page = person.open("/oauth/authorize", client_id=url, request_uri=pushed.json()["request_uri"])

    assert pushed.status_code == 201, pushed.text
    assert 'action="/login"' in page.text


@pytest.mark.parametrize(
    ("description", "path", "members"),
    [
        ("of another client", "/other.json", {"client_id": "https://localhost/app.json"}),
        ("with a secret", "/secret.json", {"client_secret": "hidden"}),
        ("oversized", "/large.json", {"padding": "x" * 6000}),
        ("not there", "/missing.json", None),
    ],
)
def test_documents_that_are_refused(
    opened: Live,
    server: DocumentServer,
    description: str,
    path: str,
    members: dict[str, Any] | None,
) -> None:
    """Shown to the person in one text, answered in one at the pushed endpoint; at the token
    endpoint an unknown client is not asked about at all.
    """
    url = server.url(path) if members is None else server.publish(path, **members)
    client = WebClient(opened, url)
    page = opened.http.get("/oauth/authorize", params=client.parameters())
    pushed = opened.http.post("/oauth/par", data=client.parameters())
    before = server.requests[path]
    token = client.refresh("x")

    assert page.status_code == 400
    assert "cannot be fetched or is not usable here" in page.text
    assert (pushed.status_code, pushed.json()["error"]) == (400, "invalid_client_metadata")
    assert (token.status_code, token.json()["error"]) == (401, "invalid_client")
    assert server.requests[path] == before


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "localhost.", "0x7f.1"]
)
def test_hosts_that_are_not_asked(opened: Live, server: DocumentServer, host: str) -> None:
    """No client_id leads us inside our network."""
    port = server.base.rpartition(":")[2]
    before = sum(server.requests.values())
    page = opened.http.get(
        "/oauth/authorize",
        params={
            "client_id": f"https://{host}:{port}/app.json",
            "response_type": "code",
            "code_challenge": challenge("x"),
        },
    )

    assert page.status_code == 400
    assert sum(server.requests.values()) == before


@pytest.mark.parametrize("hidden", ["\u202e", "\u200b", "\x9b", "\u3164", "\ufe0f"])
@pytest.mark.parametrize("member", ["client_name", "software_id", "software_version"])
def test_a_name_that_hides_something_is_refused(opened: Live, member: str, hidden: str) -> None:
    """Nobody is shown a name that reads as another one, or that drives a terminal."""
    answered = opened.http.post(REGISTER, json={**WEB, member: f"Good{hidden}Shop"})

    assert (answered.status_code, answered.json()["error"]) == (400, "invalid_client_metadata")
    assert answered.json()["error_description"].startswith(f"{member}: must not hold")


def test_the_device_page_says_that_nobody_checked_the_name(opened: Live) -> None:
    """As the consent page does: the person who types a code knows the name alone."""
    told = register(
        opened,
        client_name="Television",
        token_endpoint_auth_method="none",
        grant_types=["urn:ietf:params:oauth:grant-type:device_code"],
        response_types=[],
    )
    person = a_person(opened, "dina")
    given = opened.http.post(
        "/oauth/device_authorization", data={"client_id": told["client_id"], "scope": "openid"}
    ).json()
    page = person.submit(person.open("/device"), "/device", user_code=given["user_code"])
    confirm = person.log_in(page)

    assert "<bdi>Television</bdi>" in confirm.text
    assert "nobody here has checked it" in confirm.text
