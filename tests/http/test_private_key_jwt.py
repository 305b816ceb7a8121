"""Clients that authenticate by a key, over real HTTP, with a client library of others."""

import json
import time
from typing import Any

import httpx
import pytest
from authlib.oauth2.rfc7523 import private_key_jwt_sign
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import ECKey

from tests.application.people.upstream_provider import SigningKey
from tests.http.live import FORM, TOKEN, Live
from tests.waiting import eventually

KIND = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@pytest.fixture(scope="module")
def key() -> SigningKey:
    """The key of the client."""
    return SigningKey.make("ES256")


@pytest.fixture(scope="module")
def client_id(live: Live, key: SigningKey) -> str:
    """A client that is registered by its key."""
    name, secret = live.register(
        "key-agent",
        scopes=["mcp"],
        authentication={"method": "private_key_jwt", "jwks": [key.published]},
    )
    assert secret == ""

    def known() -> bool:
        # A connection of its own: one that is kept stays with its worker.
        with httpx.Client(base_url=live.service.url) as visitor:
            return visitor.post(TOKEN, data=a_proof(live, key, name)).status_code == 200

    eventually(lambda: all(known() for _ in range(12)))
    return name


def a_proof(live: Live, key: SigningKey, client_id: str, *, lifetime: int = 240) -> dict[str, str]:
    """Return the parameters that prove a client, its assertion as Authlib makes it."""
    private: Any = key.private
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assertion = private_key_jwt_sign(
        ECKey.import_key(pem),
        client_id,
        live.service.url,
        alg=key.alg,
        header={"kid": key.kid},
        expires_at=int(time.time()) + lifetime,
    )
    text = assertion if isinstance(assertion, str) else assertion.decode()
    return {"client_assertion": text, "client_assertion_type": KIND, **FORM}


def test_a_library_gets_tokens(live: Live, client_id: str, key: SigningKey) -> None:
    """As often as it asks; the record names the method and the key, and no secret works."""
    # A default client of Authlib ends its assertions after an hour; ours take five minutes.
    long = live.http.post(TOKEN, data=a_proof(live, key, client_id, lifetime=3600))
    answers = [live.http.post(TOKEN, data=a_proof(live, key, client_id)) for _ in range(5)]
    by_secret = live.ask_token((client_id, "gls_guess"))
    (entry, *_) = live.audit(client_id=client_id, topic="token.issued")

    assert [answer.json()["scope"] for answer in answers] == ["mcp"] * 5
    assert (long.status_code, long.json()["error"]) == (401, "invalid_client")
    assert entry["detail"]["authentication_method"] == "private_key_jwt"
    assert entry["detail"]["credential_id"] == "key-1"
    assert (by_secret.status_code, by_secret.json()["error"]) == (401, "invalid_client")


def test_a_proof_is_good_once_on_all_workers(live: Live, client_id: str, key: SigningKey) -> None:
    """Of many requests with one assertion, on connections of their own, one succeeds."""
    sent, statuses = a_proof(live, key, client_id), []
    for _ in range(12):
        with httpx.Client(base_url=live.service.url) as connection:
            statuses.append(connection.post(TOKEN, data=sent).status_code)

    assert statuses == [200] + [401] * 11


def test_several_methods_are_an_invalid_request(live: Live, client_id: str) -> None:
    """RFC 6749, Section 2.3: more than one method in a request."""
    answered = live.ask_token(live.demo, client_assertion="a.b.c", client_assertion_type=KIND)

    assert (answered.status_code, answered.json()["error"]) == (400, "invalid_request")


def test_administration(live: Live, key: SigningKey) -> None:
    """Keys are replaced, unusable ones and public clients refused, secrets not made."""
    live.register("key-changer", scopes=["mcp"])
    url, headers = "/admin/clients/key-changer", live.bearer()
    by_key = {"method": "private_key_jwt", "jwks": [key.published]}
    bad = {"method": "private_key_jwt", "jwks": [{"kty": "EC", "crv": "P-256", "kid": "1"}]}
    changed = live.http.patch(url, headers=headers, json={"authentication": by_key})
    secret = live.http.post(f"{url}/rotate-secret", headers=headers, json={})
    unusable = live.http.patch(url, headers=headers, json={"authentication": bad})
    public = live.http.post(
        "/admin/clients",
        headers=headers,
        json={"client_id": "key-app", "client_type": "public", "authentication": by_key},
    )
    metadata = live.http.get("/.well-known/oauth-authorization-server").json()

    assert changed.json()["authentication"] == {
        **by_key,
        "jwks_uri": None,
        "certificate": None,
    }
    assert (secret.status_code, unusable.status_code, public.status_code) == (400, 400, 400)
    assert "private_key_jwt" in metadata["token_endpoint_auth_methods_supported"]
    assert "ES256" in metadata["token_endpoint_auth_signing_alg_values_supported"]
    assert json.dumps(changed.json()).count('"d"') == 0
