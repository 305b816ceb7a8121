"""What the contract tests ask: who asks, what there is to ask about, and requests that succeed."""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from application.subject_tokens import ACCESS_TOKEN_TYPE
from domain.client_configuration import (
    AUTHORIZATION_CODE,
    CLIENT_CREDENTIALS,
    DEVICE_CODE,
    REFRESH_TOKEN,
    TOKEN_EXCHANGE,
)
from tests.application.people.upstream_provider import SigningKey
from tests.http.live import Live
from tests.http.person import (
    CALLBACK,
    PASSWORD,
    Person,
    WebClient,
    a_person,
    a_web_client,
    challenge,
)

GRANT_TYPES = [CLIENT_CREDENTIALS, AUTHORIZATION_CODE, REFRESH_TOKEN, DEVICE_CODE, TOKEN_EXCHANGE]


@dataclass(frozen=True)
class Good:
    """A request that succeeds: which operation, who sends it, and what is in it."""

    operation: str
    caller: str = "administrator"
    path: Mapping[str, str] | None = None
    query: Mapping[str, Any] | None = None
    body: Mapping[str, Any] | None = None
    status: int = 200


@dataclass(frozen=True)
class Contract:
    """A service with something to find behind every path, and everybody who may ask."""

    live: Live
    person: Person
    client: WebClient
    headers: Mapping[str, Mapping[str, str]]
    """What each caller sends to show who it is."""
    names: Mapping[str, str]
    """What there is, by the path parameter that leads to it; nobody else needs it."""
    registered: str
    """A client that registered itself: the registrant."""
    issuer: str


def a_contract(live: Live, issuer: str) -> Contract:
    """Register whom and what it takes; `issuer` is one whose keys can be fetched."""
    person = a_person(live, "reader")
    client = a_web_client(
        live,
        "reading",
        grant_types=GRANT_TYPES,
        audiences={"allowed": [live.service.url, "https://api.example"]},
    )
    a_web_client(live, "changed")
    auditor = live.register("auditing", scopes=["audit:read"])
    a_person(live, "changed")
    kept, ended = client.tokens_from(person), client.tokens_from(person)
    claims = live.introspect(ended["access_token"], (client.client_id, client.secret))
    registered = live.http.post("/oauth/register", json={"redirect_uris": [CALLBACK]}).json()
    access = live.http.post(
        "/admin/registration-tokens", headers=live.bearer(), json={"max_uses": 1}
    ).json()
    pair = f"{client.client_id}:{client.secret}".encode()
    return Contract(
        live,
        person,
        client,
        headers={
            "nobody": {},
            "client": {"Authorization": f"Basic {b64encode(pair).decode()}"},
            "person": {"Authorization": f"Bearer {kept['access_token']}"},
            "auditor": {"Authorization": f"Bearer {live.token(auditor)}"},
            "administrator": live.bearer(),
            "registrant": {"Authorization": f"Bearer {registered['registration_access_token']}"},
        },
        names={
            "client_id": "changed",
            "subject": "changed",
            "act": "reactivate",
            "session_id": claims["sid"],
            "token_id": claims["jti"],
            "family_id": _family_of(live, claims["jti"]),
            "access_id": access["access_id"],
            "report_name": "client-inventory",
            "kid": _next_key(live),
        },
        registered=registered["client_id"],
        issuer=issuer,
    )


def _family_of(live: Live, jti: str) -> str:
    answer = live.http.get(f"/audit/tokens/{jti}/state", headers=live.bearer())
    return str(answer.json()["token"]["family_id"])


def _next_key(live: Live) -> str:
    """Return the kid of the key that signs nothing yet, so that revoking it voids no token."""
    keys = live.http.get("/admin/keys", headers=live.bearer()).json()
    return next(str(key["kid"]) for key in keys if key["state"] == "generated")


def good_requests(contract: Contract) -> Iterator[Good]:
    """Yield requests that succeed, in an order in which they do: at least one per operation."""
    yield from _discovery()
    yield from _tokens(contract)
    yield from _reading(contract)
    yield from _clients(contract)
    yield from _principals()
    yield from _issuers(contract.issuer)
    yield from _registration(contract)


def _discovery() -> Iterator[Good]:
    for path in (
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/management",
        "/oauth/jwks.json",
        "/healthz",
        "/readyz",
        "/metrics",
    ):
        yield Good(f"GET {path}", "nobody")
    yield Good("GET /oauth/userinfo", "person")
    yield Good("POST /oauth/userinfo", "person")


def _tokens(contract: Contract) -> Iterator[Good]:
    client = contract.client

    def token(grant_type: str, **form: Any) -> Good:
        return Good("POST /oauth/token", "client", body={"grant_type": grant_type, **form})

    yield token(CLIENT_CREDENTIALS, scope="mcp", resource=["https://api.example"])
    code = client.code_from(contract.person)
    yield token(AUTHORIZATION_CODE, code=code, code_verifier=client.verifier, redirect_uri=CALLBACK)
    tokens = client.tokens_from(contract.person)
    yield token(REFRESH_TOKEN, refresh_token=tokens["refresh_token"])
    subject = tokens["access_token"]
    yield token(TOKEN_EXCHANGE, subject_token=subject, subject_token_type=ACCESS_TOKEN_TYPE)
    parameters = client.parameters(code_challenge=challenge(client.verifier), client_id=None)
    yield Good("POST /oauth/par", "client", body=parameters, status=201)
    yield Good("POST /oauth/device_authorization", "client", body={"scope": "openid user"})
    yield Good("POST /oauth/introspect", "client", body={"token": subject})
    yield Good("POST /oauth/introspect", "client", body={"token": "unknown"})
    yield Good("POST /oauth/revoke", "client", body={"token": subject})


def _reading(contract: Contract) -> Iterator[Good]:
    token = {"token_id": contract.names["token_id"]}
    yield Good("GET /audit/tokens/{token_id}", "auditor", path=token)
    yield Good("GET /audit/tokens/{token_id}/lineage", "auditor", path=token)
    yield Good("GET /audit/events", "auditor", query={"limit": 1000})
    yield Good("GET /audit/events", "auditor", query={"format": "ndjson", "before": 20})
    yield Good("GET /reports", "auditor")
    report = {"report_name": contract.names["report_name"]}
    yield Good("GET /reports/{report_name}", "auditor", path=report, query={"as_of": "-1d"})
    used = {"client_id": contract.client.client_id}
    yield Good("GET /audit/clients/{client_id}/last-used", "auditor", path=used)
    yield from _past(contract, token, used)
    session = {"session_id": contract.names["session_id"]}
    yield Good("GET /admin/sessions", query={"alive": "true"})
    older = {"before": contract.names["session_id"], "limit": 500}
    yield Good("GET /admin/sessions", query=older)
    yield Good("GET /admin/sessions/{session_id}", path=session)
    yield Good("POST /admin/sessions/{session_id}/end", path=session)


def _past(contract: Contract, token: dict[str, str], client: dict[str, str]) -> Iterator[Good]:
    yield Good("GET /audit/clients/{client_id}", "auditor", path=client, query={"as_of": "-0s"})
    yield Good("GET /audit/clients", "auditor", query={"as_of": "-1d", "limit": 1})
    yield Good("GET /audit/clients/{client_id}/diff", "auditor", path=client, query={"from": "-1d"})
    subject = {"subject": contract.names["subject"]}
    yield Good("GET /audit/principals/{subject}", "auditor", path=subject)
    yield Good(
        "GET /audit/principals/{subject}/diff", "auditor", path=subject, query={"from": "-1d"}
    )
    yield Good("GET /audit/tokens/{token_id}/state", "auditor", path=token)
    family = {"family_id": contract.names["family_id"]}
    yield Good("GET /audit/families/{family_id}", "auditor", path=family)
    yield Good("GET /audit/keys", "auditor", query={"as_of": "1"})


def _clients(contract: Contract) -> Iterator[Good]:
    client = {"client_id": "changed"}
    by_key = {"method": "private_key_jwt", "jwks": [SigningKey.make("ES256").published]}
    new = {"client_id": "by-key", "scopes": ["mcp"], "authentication": by_key}
    yield Good("POST /admin/clients", body=new, status=201)
    yield Good("GET /admin/clients/{client_id}", path={"client_id": "by-key"})
    yield Good("POST /admin/clients/{client_id}/rotate-secret", path=client, body={}, status=201)
    for change in ({"scopes": ["mcp"]}, {"owner": "owner"}, {"enabled": False}):
        yield Good("PATCH /admin/clients/{client_id}", path=client, body=change)
    yield Good("GET /admin/clients")
    yield Good("POST /admin/keys/{kid}/revoke", path={"kid": contract.names["kid"]})
    yield Good("POST /admin/keys/rotate", body={})
    yield Good("GET /admin/keys")


def _principals() -> Iterator[Good]:
    principal = {"subject": "changed"}
    login = {"login": "changed", "password": PASSWORD}
    yield Good("POST /admin/principals", body={"subject": "new", "roles": ["user"]}, status=201)
    yield Good("PUT /admin/principals/{subject}/login", path=principal, body=login)
    identity = {"upstream_subject": "248289761001"}
    yield Good("PUT /admin/principals/{subject}/identity", path=principal, body=identity)
    yield Good("PUT /admin/principals/{subject}/roles", path=principal, body={"roles": ["user"]})
    for act in ("deactivate", "reactivate"):
        yield Good("POST /admin/principals/{subject}/{act}", path={**principal, "act": act})
    yield Good("GET /admin/principals/{subject}", path=principal)
    yield Good("GET /admin/principals")


def _issuers(issuer: str) -> Iterator[Good]:
    terms = {"issuer": issuer, "scopes": ["mcp"]}
    yield Good("PUT /admin/issuers", body=terms)
    yield Good("POST /admin/issuers/test", body={"issuer": issuer})
    yield Good("POST /admin/issuers/remove", body={"issuer": issuer})
    yield Good("GET /admin/issuers")


def _registration(contract: Contract) -> Iterator[Good]:
    own = {"client_id": contract.registered}
    access = {"access_id": contract.names["access_id"]}
    metadata = {"redirect_uris": [CALLBACK], "client_name": "New"}
    yield Good("POST /oauth/register", "nobody", body=metadata, status=201)
    path = "/oauth/register/{client_id}"
    yield Good(f"GET {path}", "registrant", path=own)
    yield Good(f"PUT {path}", "registrant", path=own, body={**metadata, **own})
    yield Good(f"DELETE {path}", "registrant", path=own, status=204)
    yield Good("POST /admin/registration-tokens", body={"max_uses": 3}, status=201)
    yield Good("GET /admin/registration-tokens")
    yield Good("POST /admin/registration-tokens/{access_id}/revoke", path=access)
