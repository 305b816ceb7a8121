"""The record of a token names the very bytes that were signed, in every grant."""

import base64
import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import pytest

from tests.http.live import Live
from tests.http.person import Person, WebClient, a_person, a_web_client

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"


@pytest.fixture(scope="module")
def tokens(live: Live) -> Mapping[str, dict[str, Any]]:
    """Return a token response of each of these grants."""
    person: Person = a_person(live, "payload-person")
    shop: WebClient = a_web_client(
        live,
        "payload-shop",
        grant_types=["authorization_code", "refresh_token", "client_credentials", EXCHANGE],
    )
    code = shop.tokens_from(person)
    return {
        "authorization_code": code,
        "refresh_token": shop.refresh(code["refresh_token"]).json(),
        "client_credentials": shop.ask("client_credentials", scope="mcp").json(),
        "token_exchange": shop.ask(
            EXCHANGE, subject_token=code["id_token"], subject_token_type=ID_TOKEN
        ).json(),
    }


@pytest.mark.parametrize(
    ("grant", "with_id_token"),
    [
        ("authorization_code", True),
        ("refresh_token", True),
        ("client_credentials", False),
        ("token_exchange", False),
    ],
)
def test_the_record_names_the_payload(
    live: Live, tokens: Mapping[str, dict[str, Any]], grant: str, with_id_token: bool
) -> None:
    """`payload_sha256` is the SHA-256 of the access token's payload; `id_payload_sha256` is that of
    the ID token's payload, and absent where no ID token came with it.
    """
    given = tokens[grant]
    payload = _payload(given["access_token"])
    jti = json.loads(payload)["jti"]
    (issued,) = live.audit(topic="token.issued", jti=jti)
    of_id_token = _digest(_payload(given["id_token"])) if with_id_token else None

    assert issued["detail"]["payload_sha256"] == _digest(payload)
    assert issued["detail"].get("id_payload_sha256") == of_id_token


def _payload(token: str) -> bytes:
    segment = token.split(".")[1]
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def _digest(payload: bytes) -> str:
    return base64.urlsafe_b64encode(sha256(payload).digest()).rstrip(b"=").decode()
