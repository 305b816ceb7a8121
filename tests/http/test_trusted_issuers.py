"""Two services that trust each other, over real HTTP: exchange, identity assertions, removal."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from application.subject_tokens import ACCESS_TOKEN_TYPE, ID_TOKEN_TYPE
from domain.client_configuration import JWT_BEARER, TOKEN_EXCHANGE
from tests.cli.running_service import free_port, running_service
from tests.http.live import Live
from tests.http.person import WebClient, a_person, a_web_client
from tests.postgres import Postgres

ID_JAG = "urn:ietf:params:oauth:token-type:id-jag"
RESOURCE = "https://mcp.example"


@dataclass(frozen=True)
class Both:
    """Two services: `here` trusts `there` by a file, `there` trusts `here` by its API."""

    here: Live
    there: Live


@pytest.fixture(scope="module")
def both(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """Both, with identity assertions turned on."""
    ports = [free_port(), free_port()]
    here_url, there_url = (f"http://127.0.0.1:{port}" for port in ports)
    folder = tmp_path_factory.mktemp("two-issuers")
    terms = {"issuer": there_url, "scopes": ["user", "mcp"]}
    (folder / "issuers.json").write_text(json.dumps([terms]))
    file = str(folder / "issuers.json")
    with ExitStack() as stack:

        def started(name: str, port: int, **settings: str) -> Live:
            url = stack.enter_context(postgres.database())
            service = stack.enter_context(
                running_service(
                    Path(folder / name),
                    port=port,
                    DATABASE_URL=url,
                    GRANTLEDGER_EXPERIMENTAL_ID_JAG="true",
                    **settings,
                )
            )
            http = stack.enter_context(httpx.Client(base_url=service.url, timeout=20))
            return Live(service, http, url)

        here = started("here", ports[0], GRANTLEDGER_TRUSTED_ISSUERS_FILE=file)
        there = started("there", ports[1])
        answered = there.http.put(
            "/admin/issuers",
            headers=there.bearer(),
            json={"issuer": here_url, "scopes": ["mcp"], "subject_claim": "sub"},
        )
        assert answered.status_code == 200, answered.text
        for live in (here, there):
            a_person(live, "alice")
        yield Both(here, there)


def machine(live: Live, client_id: str, *audience: str, **configuration: Any) -> WebClient:
    """Register a client without a browser."""
    facts = {
        "grant_types": ["client_credentials", TOKEN_EXCHANGE, JWT_BEARER],
        "scopes": ["user", "mcp"],
        "redirects": {},
        "audiences": {"allowed": list(audience), "default": list(audience)[:1]},
        **configuration,
    }
    return a_web_client(live, client_id, **facts)


def exchanged(client: WebClient, token: str, **form: str) -> dict[str, Any]:
    """Return what a client is answered for a foreign or own token."""
    asked = {"subject_token": token, "subject_token_type": ACCESS_TOKEN_TYPE, **form}
    answered: dict[str, Any] = client.ask(TOKEN_EXCHANGE, **asked).json()
    return answered


def verified(live: Live, token: str) -> dict[str, Any]:
    """Return the claims of a token, as a resource server that knows the key set sees them."""
    published = live.http.get("/oauth/jwks.json").json()
    claims: dict[str, Any] = jwt.decode(token, KeySet.import_key_set(published)).claims
    return claims


def test_each_exchanges_the_others_tokens(both: Both) -> None:
    """The person goes from one to the other and back; each hop is in `act`, each side narrows."""
    here, there = both.here, both.there
    portal = machine(there, "portal", here.service.url, owner="alice")
    desk = machine(here, "desk", there.service.url)
    back = machine(there, "back-office", "https://orders.example")
    first = portal.ask("client_credentials", scope="user mcp").json()["access_token"]
    second = exchanged(desk, first)
    third = exchanged(back, second["access_token"])
    claims = [
        verified(there, first),
        verified(here, second["access_token"]),
        verified(there, third["access_token"]),
    ]

    assert [one["sub"] for one in claims] == ["alice"] * 3
    assert [one["scope"] for one in claims] == ["user mcp", "user mcp", "mcp"]
    assert claims[1]["act"] == {"sub": "desk"}
    assert claims[2]["act"] == {
        "sub": "back-office",
        "act": {"sub": "desk", "iss": here.service.url},
    }
    assert claims[2]["exp"] <= claims[1]["exp"] <= claims[0]["exp"]


def test_an_identity_assertion_crosses_over_once(both: Both) -> None:
    """A login there leads to a token here, for the resource that was named and nothing else."""
    here, there = both.here, both.there
    agent_there = a_web_client(
        there,
        "agent",
        grant_types=["authorization_code", TOKEN_EXCHANGE],
        audiences={"allowed": [here.service.url, there.service.url]},
    )
    agent = machine(here, "agent", RESOURCE, "https://elsewhere.example")
    alice = a_person(there, "ann")
    a_person(here, "ann")
    tokens = agent_there.tokens_from(alice, scope="openid mcp user")
    asked = {
        "subject_token": tokens["id_token"],
        "subject_token_type": ID_TOKEN_TYPE,
        "requested_token_type": ID_JAG,
        "audience": here.service.url,
        "resource": RESOURCE,
        "scope": "mcp",
    }
    assertion = agent_there.ask(TOKEN_EXCHANGE, **asked).json()
    elsewhere = {**asked, "audience": "https://evil.example"}
    refused = agent_there.ask(TOKEN_EXCHANGE, **elsewhere).json()
    said = verified(there, assertion["access_token"])
    form = {"assertion": assertion["access_token"]}
    given = agent.ask(JWT_BEARER, **form).json()
    again = agent.ask(JWT_BEARER, **form).json()
    claims = verified(here, given["access_token"])

    assert (assertion["token_type"], assertion["issued_token_type"]) == ("N_A", ID_JAG)
    assert (said["aud"], said["client_id"]) == (here.service.url, "agent")
    assert (said["resource"], said["scope"]) == ([RESOURCE], "mcp")
    assert "sid" not in said
    assert said["exp"] - said["iat"] == 300
    assert (claims["sub"], claims["aud"], claims["scope"]) == ("ann", RESOURCE, "mcp")
    assert claims["auth_time"] == said["auth_time"]
    assert again["error"] == "invalid_grant"
    assert refused["error"] == "invalid_target"
    assert there.introspect(assertion["access_token"]) == {"active": False}


def test_an_id_token_stands_for_its_access_token(both: Both) -> None:
    """No more than that one's scope, and no longer than it lives."""
    there = both.there
    shop = a_web_client(
        there,
        "id-token-shop",
        grant_types=["authorization_code", TOKEN_EXCHANGE],
        audiences={"allowed": ["https://orders.example", there.service.url]},
    )
    person = a_person(there, "bob")
    tokens = shop.tokens_from(person, scope="openid mcp")
    kind = {"subject_token_type": ID_TOKEN_TYPE, "audience": "https://orders.example"}
    answered = exchanged(shop, tokens["id_token"], **kind)
    too_much = exchanged(shop, tokens["id_token"], scope="user", **kind)
    other = machine(there, "id-token-thief", "https://orders.example")
    stolen = exchanged(other, tokens["id_token"], **kind)
    there.http.post(
        "/oauth/revoke",
        auth=(shop.client_id, shop.secret),
        data={"token": tokens["access_token"]},
    )
    after = exchanged(shop, tokens["id_token"], **kind)

    assert (answered["scope"], verified(there, answered["access_token"])["sub"]) == ("mcp", "bob")
    assert too_much["error"] == "invalid_scope"
    assert stolen["error"] == "invalid_request"
    assert after["error"] == "invalid_request"


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"audience": ""}, "invalid_request"),
        ({"audience": "not a URI"}, "invalid_target"),
        ({"subject_token_type": ACCESS_TOKEN_TYPE}, "invalid_request"),
        ({"subject_token": "x"}, "invalid_request"),
    ],
)
def test_id_jag_refusals(both: Both, form: dict[str, str], error: str) -> None:
    """Each broken rule has its error."""
    asked = {
        "subject_token": both.there.token(),
        "subject_token_type": ID_TOKEN_TYPE,
        "requested_token_type": ID_JAG,
        "audience": both.here.service.url,
        **form,
    }
    client = machine(both.there, f"jag-{len(str(form))}", both.here.service.url)
    answered = client.ask(TOKEN_EXCHANGE, **asked)

    assert (answered.status_code, answered.json()["error"]) == (400, error)


def test_removal_is_at_once(both: Both) -> None:
    """An issuer that is not trusted any more speaks for nobody, and what it said is void."""
    here, there = both.here, both.there
    portal = machine(there, "portal-2", here.service.url, owner="alice")
    desk = machine(here, "desk-2", "https://orders.example")
    token = portal.ask("client_credentials", scope="mcp").json()["access_token"]
    given = exchanged(desk, token)["access_token"]
    before = here.introspect(given, (desk.client_id, desk.secret))["active"]
    tried = here.http.post(
        "/admin/issuers/test", headers=here.bearer(), json={"issuer": there.service.url}
    ).json()
    name = {"issuer": there.service.url}
    removed = here.http.post("/admin/issuers/remove", headers=here.bearer(), json=name).json()
    after = here.introspect(given, (desk.client_id, desk.secret))
    refused = exchanged(desk, token)
    listed = here.http.get("/admin/issuers", headers=here.bearer()).json()
    terms = {**listed[0]["terms"]}
    here.http.put("/admin/issuers", headers=here.bearer(), json=terms)

    assert before
    assert (tried["problem"], {key["algorithm"] for key in tried["keys"]}) == (None, {"ES256"})
    assert not removed["trusted"]
    assert after == {"active": False}
    assert refused["error"] == "invalid_request"
    assert here.introspect(given, (desk.client_id, desk.secret))["active"]


@pytest.mark.parametrize(
    ("terms", "status"),
    [
        ({"issuer": "http://id.example"}, 400),
        ({"issuer": "https://user@id.example"}, 400),
        ({"issuer": "https://id.example?x=1"}, 400),
        ({"issuer": "https://id.example", "jwks_uri": "file:///etc/passwd"}, 400),
        ({"issuer": "https://id.example", "algorithms": ["none"]}, 400),
        ({"issuer": "https://id.example", "algorithms": ["HS256"]}, 400),
        ({"issuer": "https://id.example", "scopes": ["nonsense"]}, 400),
        ({"issuer": "https://id.example", "default_scopes": ["user"]}, 400),
        ({"issuer": "https://id.example", "create_principals": True}, 400),
        ({"issuer": "https://id.example", "roles": ["admin"]}, 400),
        ({"issuer": "https://id.example", "unknown": 1}, 400),
        ({"issuer": "itself"}, 400),
    ],
)
def test_terms_that_are_refused(live: Live, terms: dict[str, Any], status: int) -> None:
    """Nothing that could be read in two ways, and never a shared key."""
    body = {**terms, "issuer": live.service.url} if terms["issuer"] == "itself" else terms
    before = live.http.get("/admin/issuers", headers=live.bearer()).json()
    answered = live.http.put("/admin/issuers", headers=live.bearer(), json=body)

    assert answered.status_code == status, answered.text
    assert live.http.get("/admin/issuers", headers=live.bearer()).json() == before


def test_unknown_issuers_are_not_found(live: Live) -> None:
    """Neither to test nor to remove."""
    for act in ("remove", "test"):
        answered = live.http.post(
            f"/admin/issuers/{act}", headers=live.bearer(), json={"issuer": "https://id.example"}
        )
        assert answered.status_code == 404
