"""What the token says is what was recorded: PyJWT reads it with the published key alone."""

import re
from collections.abc import Mapping
from datetime import timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from application.grants.client_credentials import Parameters, handle
from domain.access_token import AccessToken
from domain.client_configuration import SIGNING_ALGORITHMS, Audiences, TokenPolicy
from tests.application.service import (
    ISSUER,
    FakeService,
    a_signing_key,
    authenticated,
    context,
    token_keys,
)
from tests.builders import NOON, a_client, a_principal

API, HOOK = "https://api.example", "hook"
# Off the second: claims are whole seconds, and the two ends must be cut alike.
MOMENT = NOON + timedelta(microseconds=999_999)


def claims_of(issued: AccessToken.Issued) -> dict[str, object]:
    """Return the claims that RFC 9068 and the protocol want for a record."""
    claims: dict[str, object] = {
        "iss": ISSUER,
        "sub": issued.subject,
        "aud": list(issued.audience) if len(issued.audience) > 1 else issued.audience[0],
        "exp": int(issued.expires_at.timestamp()),
        "iat": int(issued.timestamp.timestamp()),
        "nbf": int(issued.timestamp.timestamp()),
        "jti": str(issued.originator_id),
        "client_id": issued.client_id,
        "scope": " ".join(issued.scope),
        "sid": issued.session_id,
    }
    return claims if issued.plugin_id is None else {**claims, "plugin_id": issued.plugin_id}


@pytest.mark.parametrize("plugin_id", [None, "plug-7"])
@pytest.mark.parametrize("audience", [(API,), (API, HOOK)])
@pytest.mark.parametrize("algorithm", SIGNING_ALGORITHMS)
async def test_says_what_was_recorded(
    private_keys: Mapping[str, PrivateKeyTypes],
    algorithm: str,
    audience: tuple[str, ...],
    plugin_id: str | None,
) -> None:
    """In each algorithm that a client may choose, every claim equals the field of TokenIssued that
    it comes from, there are no others but the salt, and the signature verifies by the public JWK.
    """
    service = FakeService(keys=token_keys(private_keys, *SIGNING_ALGORITHMS))
    service.log.record(a_principal())
    client = a_client(
        owner="owner-1",
        audiences=Audiences(allowed=(API, HOOK)),
        tokens=TokenPolicy(signing_algorithm=algorithm, plugin_id=plugin_id),
    )
    published = jwt.PyJWK(dict(a_signing_key(private_keys[algorithm], algorithm).public_jwk))

    response = await handle(
        Parameters(None, audience), authenticated(client), context(MOMENT), service
    )
    (issued,) = service.log.of(AccessToken.Issued)
    decoded = jwt.decode_complete(
        response.access_token,
        published,
        algorithms=[algorithm],
        issuer=ISSUER,
        audience=audience[0],
        options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
    )

    salt = decoded["payload"].pop("salt")
    assert decoded["payload"] == claims_of(issued)
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", salt)  # 128 bits
    assert decoded["header"] == {"alg": algorithm, "typ": "at+jwt", "kid": published.key_id}
    assert (issued.algorithm, issued.kid) == (algorithm, published.key_id)
    assert (issued.client_id, issued.subject) == ("reporter", "owner-1")
    assert decoded["payload"]["exp"] - decoded["payload"]["iat"] == response.expires_in == 3600
