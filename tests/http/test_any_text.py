"""Whatever text comes in by whatever door: no answer is a 5xx, and no read model lacks an event."""

import json
import random
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_from_bytes

import httpx
import psycopg
import pytest

from application.subject_tokens import ACCESS_TOKEN_TYPE
from domain.client_configuration import CLIENT_CREDENTIALS, JWT_BEARER, TOKEN_EXCHANGE
from projections.status import projection_status
from tests.application.people.upstream_provider import SigningKey
from tests.cli.running_service import running_service
from tests.http.live import DETAILS, INTROSPECT, REVOKE, TOKEN, Live
from tests.http.person import CALLBACK, PASSWORD
from tests.postgres import Postgres
from tests.waiting import eventually

BEYOND = "@1e400@"
"""Written as a number: JSON can say it, and nothing here can hold it."""
DEEP = "@deep@"
INDEXLESS = "".join(chr(0x4E00 + 37 * n % 20_000) for n in range(5_000))
"""15,000 bytes that PostgreSQL cannot compress into an entry of an index."""
TEXTS = (
    "a\0b",
    "\0",
    "half \ud83d of a character",
    "\udc00",
    INDEXLESS,
    "x" * 30_000,
    "line\nbreak\r\x1b[31m\x7f",
    "\u202e\u2066\ufeff",
    "\\u0000",
    "\U0010ffff\uffff",
    "",
    BEYOND,
    DEEP,
)


@dataclass(frozen=True)
class Writing:
    """A request that changes something or is refused; each text in it is replaced in turn."""

    method: str
    path: str
    body: Mapping[str, Any] = field(default_factory=dict)
    form: bool = False
    bearer: bool = True


def _key() -> dict[str, Any]:
    return {**SigningKey.make("ES256").published, "note": "text", "more": {"deeper": ["text"]}}


def writings(live: Live) -> Iterator[Writing]:
    """Yield a request of every kind that writes, with every field that takes a text."""
    by_key = {"method": "private_key_jwt", "jwks": [_key()]}
    client = {
        "name": "Name",
        "scopes": ["mcp"],
        "grant_types": [CLIENT_CREDENTIALS, TOKEN_EXCHANGE],
        "audiences": {"allowed": ["https://a"], "default": ["https://a"], "serves": ["https://s"]},
        "owner": "owner",
        "tokens": {"plugin_id": "plugin", "signing_algorithm": "ES256"},
        "redirects": {"redirect_uris": [CALLBACK], "post_logout_redirect_uris": [CALLBACK]},
        "delegation": {"may_act": ["agent"]},
        "authorization_details_types": ["payment_initiation"],
    }
    certificate = {"kind": "san_dns", "value": "client.example"}
    changed = {name: value for name, value in client.items() if name != "name"}
    yield Writing("POST", "/admin/clients", {"client_id": "new", **client})
    yield Writing("POST", "/admin/clients", {"client_id": "keyed", "authentication": by_key})
    yield Writing("PATCH", "/admin/clients/kept", {**changed, "authentication": by_key})
    by_name = {"method": "tls_client_auth", "certificate": certificate}
    yield Writing("PATCH", "/admin/clients/kept", {"authentication": by_name})
    yield Writing("POST", "/admin/clients/kept/rotate-secret", {"overlap_seconds": 1})
    yield Writing("POST", "/admin/principals", {"subject": "new", "roles": ["user"]})
    yield Writing("PUT", "/admin/principals/person/login", {"login": "n", "password": PASSWORD})
    yield Writing("PUT", "/admin/principals/person/identity", {"upstream_subject": "sub"})
    yield Writing("PUT", "/admin/principals/person/roles", {"roles": ["user"]})
    terms = {
        "issuer": "https://id.example",
        "jwks_uri": "https://id.example/jwks",
        "audience": ["https://a"],
        "algorithms": ["ES256"],
        "subject_claim": "sub",
        "subject_prefix": "id-",
        "scopes": ["mcp"],
        "default_scopes": ["mcp"],
    }
    yield Writing("PUT", "/admin/issuers", terms)
    yield Writing("POST", "/admin/issuers/remove", {"issuer": "https://id.example"})
    yield Writing("POST", "/admin/registration-tokens", {"max_uses": 3})
    metadata = {
        "client_name": "Name",
        "redirect_uris": [CALLBACK],
        "grant_types": ["client_credentials"],
        "scope": "mcp",
        "software_id": "id",
        "software_version": "1",
        "client_uri": "https://c.example",
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [_key()]},
        "contacts": ["someone"],
    }
    yield Writing("POST", "/oauth/register", metadata, bearer=False)
    demo = {"client_id": live.demo[0], "client_secret": live.demo[1]}
    yield from _forms(demo, live.token(live.demo))


def _forms(demo: Mapping[str, str], token: str) -> Iterator[Writing]:
    def form(path: str, **parameters: str) -> Writing:
        return Writing("POST", path, {**demo, **parameters}, form=True, bearer=False)

    details = json.dumps([{"type": "payment_initiation", "note": "text"}])
    yield form(
        TOKEN,
        grant_type=CLIENT_CREDENTIALS,
        scope="mcp",
        audience="https://a",
        resource="https://a",
        authorization_details=details,
    )
    yield form(
        TOKEN,
        grant_type=TOKEN_EXCHANGE,
        subject_token=token,
        subject_token_type=ACCESS_TOKEN_TYPE,
        actor_token=token,
        actor_token_type=ACCESS_TOKEN_TYPE,
        requested_token_type=ACCESS_TOKEN_TYPE,
    )
    yield form(TOKEN, grant_type=JWT_BEARER, assertion=token)
    yield form(TOKEN, grant_type="authorization_code", code="c", redirect_uri=CALLBACK)
    yield form(TOKEN, grant_type="refresh_token", refresh_token="r")
    yield form("/oauth/device_authorization", scope="mcp")
    yield form("/oauth/par", redirect_uri=CALLBACK, response_type="code", state="s", nonce="n")
    yield form(INTROSPECT, token=token, token_type_hint="access_token")
    yield form(REVOKE, token="unknown", token_type_hint="access_token")


def hostile(writing: Writing) -> Iterator[tuple[str, Any]]:
    """Yield the body with each of its texts replaced by each of TEXTS, and names beside them."""
    for place in _places(writing.body):
        for text in TEXTS:
            body = deepcopy(dict(writing.body))
            _put(body, place, text)
            yield f"{'.'.join(map(str, place))}={text[:12]!r}", body


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, str):
        yield path
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from _places(part, (*path, name))
        if "kid" in value or "deeper" in value:
            yield (*path, None)  # free JSON: names are texts as well
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _places(part, (*path, index))


def _put(body: Any, place: tuple[Any, ...], text: str) -> None:
    for step in place[:-1]:
        body = body[step]
    if place[-1] is None:
        body[text] = "x"
    else:
        body[place[-1]] = text


def encoded(writing: Writing, body: Mapping[str, Any]) -> tuple[bytes, str]:
    """Return the body as an attacker sends it, past what a client library would refuse."""
    if writing.form:
        pairs = (
            f"{name}={quote_from_bytes(str(value).encode('utf-8', 'surrogatepass'))}"
            for name, value in body.items()
        )
        return "&".join(pairs).encode(), "application/x-www-form-urlencoded"
    text = json.dumps(body).replace(f'"{BEYOND}"', "1e400")
    return text.replace(f'"{DEEP}"', "[" * 3_000 + "]" * 3_000).encode(), "application/json"


@pytest.fixture(scope="module")
def service(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service with all doors open."""
    data_dir = tmp_path_factory.mktemp("any-text")
    types = data_dir / "types.json"
    types.write_text(json.dumps(DETAILS))
    settings: dict[str, Any] = {
        "GRANTLEDGER_REGISTRATION": "open",
        "GRANTLEDGER_REGISTRATION_SCOPES": "openid,mcp",
        "GRANTLEDGER_REGISTRATION_GRANT_TYPES": "authorization_code,client_credentials",
        "GRANTLEDGER_AUTHORIZATION_DETAILS_FILE": str(types),
        "GRANTLEDGER_RATE_LIMIT_REGISTRATION_PER_ADDRESS": "",
        "GRANTLEDGER_RATE_LIMIT_FAILED_AUTHENTICATION_PER_ADDRESS": "",
        "GRANTLEDGER_KEEP_NETWORK_DATA": "true",
    }
    with (
        postgres.database() as url,
        running_service(data_dir, DATABASE_URL=url, **settings) as running,
        httpx.Client(base_url=running.url, timeout=20) as http,
    ):
        live = Live(running, http, url)
        live.register("kept", scopes=["mcp"])
        person = {"subject": "person", "roles": ["user"]}
        http.post("/admin/principals", headers=live.bearer(), json=person).raise_for_status()
        yield live


def nothing_is_lacking(live: Live) -> bool:
    """Tell whether every read model holds every event; raises where one was set aside."""
    eventually(live.projected, seconds=20)
    with psycopg.connect(live.database_url) as connection:
        found = projection_status().fetch(connection)
    assert {one.projection: one.set_aside for one in found if one.set_aside} == {}
    return True


MOST = 500
"""Of some 1,500 requests, chosen at random with a fixed seed: they are quick, and many."""


def test_any_text_in_any_field(service: Live) -> None:
    """Every field of every writing operation, with texts that no store can hold and others."""
    headers = service.bearer()
    wanted = [(one, *what) for one in writings(service) for what in hostile(one)]
    random.Random(7).shuffle(wanted)
    failed, recorded = [], 0
    for writing, what, body in wanted[:MOST]:
        content, kind = encoded(writing, body)
        answer = service.http.request(
            writing.method,
            writing.path,
            content=content,
            headers={"Content-Type": kind, **(headers if writing.bearer else {})},
        )
        recorded += answer.status_code < 300
        if answer.status_code >= 500:
            failed.append(f"{writing.method} {writing.path} {what}: {answer.text}")

    assert failed == []
    assert recorded > 20  # some texts are no harm
    assert nothing_is_lacking(service)


REFUSED = {
    "a member of a key": (
        "PATCH",
        "/admin/clients/kept",
        lambda text: {
            "authentication": {
                "method": "private_key_jwt",
                "jwks": [{**SigningKey.make("ES256").published, "note": text}],
            }
        },
    ),
    "the name of a member": (
        "PATCH",
        "/admin/clients/kept",
        lambda text: {
            "authentication": {
                "method": "private_key_jwt",
                "jwks": [{**SigningKey.make("ES256").published, text: "x"}],
            }
        },
    ),
    "the subject claim of an issuer": (
        "PUT",
        "/admin/issuers",
        lambda text: {"issuer": "https://other.example", "subject_claim": text},
    ),
}


@pytest.mark.parametrize(("method", "path", "body"), REFUSED.values(), ids=list(REFUSED))
def test_a_null_character_is_refused_and_not_recorded(
    service: Live, method: str, path: str, body: Any
) -> None:
    """U+0000 in what an administrator sends is answered 400, and the read models go on."""
    answer = service.http.request(method, path, headers=service.bearer(), json=body("a\0b"))

    assert answer.status_code == 400, answer.text
    assert answer.json()["error"] == "invalid_request"
    assert "U+0000" in answer.json()["error_description"]
    assert nothing_is_lacking(service)


@pytest.mark.parametrize("name", ["X-Change-Reason", "User-Agent", "traceparent", "DPoP", "Accept"])
@pytest.mark.parametrize("value", [b"\xff\xfe", b"\xed\xa0\x80", b"\x80" * 150, b"a\x01b"])
def test_any_bytes_in_a_header(service: Live, name: str, value: bytes) -> None:
    """A header that is no text changes nothing about what can be recorded."""
    request = service.http.build_request(
        "POST", "/admin/registration-tokens", json={}, headers=service.bearer()
    )
    request.headers = httpx.Headers([*request.headers.raw, (name.encode(), value)])
    token = service.http.build_request("POST", TOKEN, data={"grant_type": "client_credentials"})
    token.headers = httpx.Headers([*token.headers.raw, (name.encode(), value)])

    for asked in (request, token):
        try:
            assert service.http.send(asked).status_code < 500
        except httpx.TransportError:  # the server itself refuses the bytes
            continue
    assert nothing_is_lacking(service)


@pytest.mark.parametrize("segment", ["%00", "a%00b", "%ED%A0%80", "%FF", "%2500", "x" * 4_000])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/admin/clients/{}"),
        ("GET", "/audit/clients/{}/last-used"),
        ("POST", "/admin/clients/{}/rotate-secret"),
        ("GET", "/admin/principals/{}"),
        ("GET", "/audit/principals/{}"),
        ("POST", "/admin/principals/{}/deactivate"),
        ("POST", "/admin/sessions/{}/end"),
        ("GET", "/audit/events?client={}"),
        ("GET", "/audit/events?subject={}"),
        ("GET", "/audit/events?actor={}"),
        ("GET", "/admin/sessions?subject={}"),
        ("GET", "/reports/subject-access?subject={}"),
    ],
)
def test_any_text_in_a_path_or_query(service: Live, method: str, path: str, segment: str) -> None:
    """What nobody is called is not found or refused; that it was read is recorded all the same."""
    answer = service.http.request(
        method,
        path.format(segment),
        headers=service.bearer(),
        json={} if method == "POST" else None,
    )

    assert answer.status_code < 500, answer.text
