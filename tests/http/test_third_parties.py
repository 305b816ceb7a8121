"""Ordinary OAuth libraries get a token by discovery and verify it, with nothing but the issuer."""

import json
from typing import Any

import httpx
import jwt
import pytest
from authlib.integrations.requests_client import OAuth2Session as AuthlibSession
from joserfc import jwt as jose
from joserfc.jwk import KeySet
from oauthlib.oauth2 import BackendApplicationClient
from requests_oauthlib import OAuth2Session

from tests.cli.running_service import run_command
from tests.http.live import Live
from tests.waiting import eventually

_RFC_8414 = "/.well-known/oauth-authorization-server"


def _discover(live: Live) -> dict[str, Any]:
    metadata: dict[str, Any] = live.http.get(_RFC_8414).json()
    return metadata


def test_authlib_gets_a_token_that_joserfc_verifies(live: Live) -> None:
    """Authlib's client credentials session, joserfc's claims registry, our key set."""
    metadata = _discover(live)
    client_id, secret = live.demo
    with AuthlibSession(client_id, secret, scope="service mcp") as client:
        answer = client.fetch_token(metadata["token_endpoint"], grant_type="client_credentials")
    keys = KeySet.import_key_set(httpx.get(metadata["jwks_uri"]).json())
    token = jose.decode(answer["access_token"], keys, algorithms=["ES256"])
    registry = jose.JWTClaimsRegistry(
        iss={"essential": True, "value": metadata["issuer"]},
        aud={"essential": True, "value": metadata["issuer"]},
        exp={"essential": True},
    )
    registry.validate(token.claims)

    assert token.header["typ"] == "at+jwt"
    assert token.claims["client_id"] == client_id
    assert token.claims["scope"] == "service mcp"


def test_requests_oauthlib_gets_a_token_that_pyjwt_verifies(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """requests-oauthlib's backend application flow, PyJWT's own key set client."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # its documented switch for loopback
    metadata = _discover(live)
    client_id, secret = live.demo
    with OAuth2Session(client=BackendApplicationClient(client_id)) as session:
        answer = session.fetch_token(
            metadata["token_endpoint"], client_id=client_id, client_secret=secret
        )
    key = jwt.PyJWKClient(metadata["jwks_uri"]).get_signing_key_from_jwt(answer["access_token"])
    claims = jwt.decode(
        answer["access_token"],
        key,
        algorithms=["ES256"],
        audience=metadata["issuer"],
        issuer=metadata["issuer"],
    )

    assert claims["sub"] == "owner"
    assert answer["token_type"] == "Bearer"


def test_the_metadata_is_complete_and_true(live: Live) -> None:
    """RFC 8414, Section 2: the issuer is where it was found, and every endpoint named answers."""
    metadata = _discover(live)
    answers = {
        name: live.http.post(url).status_code
        for name, url in metadata.items()
        if name in ("token_endpoint", "introspection_endpoint", "revocation_endpoint")
    }

    assert metadata["issuer"] == live.service.url
    assert live.http.get("/.well-known/openid-configuration").json() == metadata
    assert answers == dict.fromkeys(answers, 400)
    assert len(answers) == 3
    assert metadata["grant_types_supported"] == [
        "client_credentials",
        "authorization_code",
        "refresh_token",
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
    ]
    assert metadata["response_types_supported"] == ["code"]
    assert live.http.get(metadata["service_documentation"]).status_code == 200


def test_the_key_set_holds_public_keys_and_may_be_cached(live: Live) -> None:
    """No private member, the next key published before its use, and a cheap second look."""
    response = live.http.get("/oauth/jwks.json")
    again = live.http.get("/oauth/jwks.json", headers={"if-none-match": response.headers["etag"]})
    keys = response.json()["keys"]

    assert response.headers["cache-control"] == "public, max-age=300"
    assert again.status_code == 304
    assert len(keys) >= 2
    for key in keys:
        assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}


def test_tokens_outlive_the_rotation_of_their_key(live: Live) -> None:
    """After a rotation new tokens carry the next key, and old ones verify on every worker."""
    old = live.token()
    rotated = run_command(
        *("keys", "rotate", "--json", "--data-dir", str(live.service.data_dir)),
        DATABASE_URL=live.database_url,
        GRANTLEDGER_JWKS_MAX_AGE="0",  # nobody waits until other caches have seen the key
    )
    kid = json.loads(rotated.stdout)["kid"]

    eventually(lambda: _kids(live, 6) == {kid}, seconds=3)
    assert [live.introspect(old)["active"] for _ in range(6)] == [True] * 6


def _kids(live: Live, times: int) -> set[str]:
    return {str(jwt.get_unverified_header(live.token())["kid"]) for _ in range(times)}
