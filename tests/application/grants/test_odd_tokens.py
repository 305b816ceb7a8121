"""Whatever a trusted issuer signs, however odd, is exchanged or refused, and never a failure."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from application.errors import OAuthError
from application.grants import jwt_bearer, token_exchange
from application.key_material import generate_private_key
from application.subject_tokens import ACCESS_TOKEN_TYPE, JWT_TYPE
from domain.client import Client
from domain.client_configuration import JWT_BEARER, TOKEN_EXCHANGE
from tests.application.foreign_issuer import ForeignIssuer, foreign_issuer
from tests.application.service import FakeService, authenticated, context, token_keys
from tests.builders import a_client, a_principal

ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["alice", "agent", "\x00", "\ud800", "https://auth.example", "user mcp", ""])
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["sub", "iss", "act", "client_id"]) | st.text(max_size=3), inner
        )
    ),
    max_leaves=6,
)
CLAIMS = st.sampled_from(
    [
        *("iss", "sub", "aud", "exp", "iat", "nbf", "jti", "scope", "act", "may_act"),
        *("auth_time", "client_id", "resource"),
    ]
)
HEADERS = st.sampled_from(["typ", "kid", "alg", "crit", "b64", "jwk", "jku", "x5c", "zip", "cty"])


class Scene:
    """An issuer that is trusted, and a client with both grants."""

    def __init__(self, issuer: ForeignIssuer) -> None:
        keys = token_keys({"ES256": generate_private_key("ES256")}, "ES256")
        self.issuer = issuer
        self.service = FakeService(keys=keys)
        self.service.with_policy(id_jag=True)
        self.client: Client = a_client(client_id="agent", grant_types=(TOKEN_EXCHANGE, JWT_BEARER))
        self.service.log.record(self.client, a_principal("alice"))
        issuer.trust(self.service)

    async def present(self, token: str) -> str:
        """Present a token in each way, and return how the last one went."""
        caller, outcome = authenticated(self.client), ""
        exchange = token_exchange.Parameters(token, JWT_TYPE, None, None, None, None, ())
        access = token_exchange.Parameters(token, ACCESS_TOKEN_TYPE, None, None, None, None, ())
        bearer = jwt_bearer.Parameters(token, None, ())
        for asking in (
            token_exchange.handle(exchange, caller, context(), self.service),
            token_exchange.handle(access, caller, context(), self.service),
            jwt_bearer.handle(bearer, caller, context(), self.service),
        ):
            outcome = "answered"
            try:
                await asking
            except OAuthError as error:
                outcome = f"{type(error).__name__}: {error.description}"
            assert outcome.isascii()
            assert outcome.isprintable()
        return outcome.partition(":")[0]


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """One for all examples: what is recorded in one is no matter to the next."""
    with foreign_issuer() as issuer:
        yield Scene(issuer)


@settings(max_examples=300)
@given(
    claims=st.dictionaries(CLAIMS, ODD, max_size=4),
    header=st.dictionaries(HEADERS, ODD, max_size=2),
    typ=st.sampled_from(["JWT", "at+jwt", "oauth-id-jag+jwt"]),
)
def test_never_fails(
    scene: Scene, claims: dict[str, Any], header: dict[str, Any], typ: str
) -> None:
    """Any JSON in any claim or member of the header, under a good signature."""
    issuer = scene.issuer
    facts = {**issuer.claims(client_id="agent"), "jti": f"{len(scene.service.log.units)}", **claims}
    head = {**json.loads(issuer.header(typ=typ)), **header}
    token = issuer.signed(json.dumps(head), json.dumps(facts))

    event(asyncio.run(scene.present(token)))
