"""Assertions, proofs and tokens that others sign: damaged beneath a good signature.

tests/application/grants/test_odd_tokens.py has odd values in well-formed JSON; here the JSON itself
is damaged, as only somebody does who holds the key.
"""

import asyncio
import json
from collections.abc import Coroutine, Iterator, Mapping
from typing import Any

import jwt
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from api.client_credentials_header import CLIENT_ASSERTION_TYPE, presented_credentials
from api.forms import Form
from application.client_assertions import ClientAssertions
from application.dpop import DpopProofs, ProofUse
from application.errors import OAuthError
from application.key_material import algorithm_of
from application.outbound import Outbound
from application.unverified_jwt import UnreadableJwt, read_jwt
from domain.client_configuration import Authentication
from tests.application.dpop_key import DpopKey
from tests.application.fakes import MemoryNames
from tests.application.foreign_issuer import foreign_issuer
from tests.application.grants.test_odd_tokens import Scene
from tests.application.service import ISSUER, FakeService
from tests.builders import NOON, a_client
from tests.fuzz.mutations import damaged, objects, segment

KEY = DpopKey()
AT = int(NOON.timestamp())
TOKEN_URL = f"{ISSUER}/oauth/token"
ASSERTION = {"iss": "agent", "sub": "agent", "aud": ISSUER, "exp": AT + 60, "iat": AT, "nbf": AT}
PROOF = {"htm": "POST", "htu": TOKEN_URL, "iat": AT}
PROOF_HEADER = {"typ": "dpop+jwt", "alg": "ES256", "jwk": KEY.jwk}
GOOD = st.integers(0, 2**60).map(lambda number: f"jti-{number}")


def signed(header: bytes, claims: bytes, private: Any = KEY.private) -> str:
    """Return a JWS of any bytes, by ES256."""
    signing_input = f"{segment(header)}.{segment(claims)}"
    signature = algorithm_of("ES256").sign(signing_input.encode(), private)
    return f"{signing_input}.{segment(signature)}"


def outcome(asking: Coroutine[Any, Any, object]) -> str:
    """Return how a request went: nothing but an OAuthError may come out, fit to be answered."""
    try:
        asyncio.run(asking)
    except OAuthError as error:
        text = f"{error.description} {error.reason}"
        assert text.isascii()
        assert text.isprintable()
        return type(error).__name__
    return "answered"


class Asserting:
    """A client that authenticates by its key."""

    def __init__(self) -> None:
        service = FakeService()
        jwks = ({**KEY.jwk, "kid": "key-1"},)
        authentication = Authentication(method="private_key_jwt", jwks=jwks)
        service.log.record(a_client(client_id="agent", authentication=authentication))
        names = MemoryNames()
        self._assertions = ClientAssertions(
            service.directory, Outbound(), names, audiences=(ISSUER,)
        )

    async def present(self, assertion: str) -> None:
        """Authenticate as a request does."""
        values = {"client_assertion": assertion, "client_assertion_type": CLIENT_ASSERTION_TYPE}
        presented = presented_credentials(None, Form({name: (values[name],) for name in values}))
        assert presented is not None
        assert presented.assertion is not None
        caller = await self._assertions.authenticate(presented, presented.assertion, NOON)
        assert caller.client.client_id == "agent"


@given(
    header=objects({"typ": "JWT", "alg": "ES256", "kid": "key-1"}),
    jti=GOOD,
    data=st.data(),
)
def test_client_assertions(header: bytes, jti: str, data: st.DataObject) -> None:
    """Whatever a client signs for itself, it is taken or InvalidClient, never a failure."""
    claims = data.draw(objects({**ASSERTION, "jti": jti}))

    event(outcome(Asserting().present(signed(header, claims))))


@given(header=objects(PROOF_HEADER), jti=GOOD, data=st.data())
def test_dpop_proofs(header: bytes, jti: str, data: st.DataObject) -> None:
    """Whatever stands in a proof, also in its jwk, it is taken or refused."""
    claims = data.draw(objects({**PROOF, "jti": jti}))
    proofs = DpopProofs(MemoryNames())
    proof = signed(header, claims).encode()

    event(outcome(proofs.confirmed([proof], ProofUse("POST", TOKEN_URL), NOON)))


@given(member=st.sampled_from(sorted(KEY.jwk)), data=st.data())
def test_no_other_key_passes_for_that_of_a_proof(member: str, data: st.DataObject) -> None:
    """A proof whose jwk was damaged is refused, or the key is the same by its value: then its
    thumbprint is another, and nothing that is bound to the key is within its reach.
    """
    jwk = {**KEY.jwk, member: data.draw(damaged(KEY.jwk[member]))}
    header = json.dumps({**PROOF_HEADER, "jwk": jwk}).encode()
    claims = json.dumps({**PROOF, "jti": "one"}).encode()
    proofs, use = DpopProofs(MemoryNames()), ProofUse("POST", TOKEN_URL)
    try:
        found = asyncio.run(proofs.confirmed([signed(header, claims).encode()], use, NOON))
    except OAuthError:
        return

    assert found != KEY.confirmation


@given(data=st.data())
def test_nothing_near_a_proof_is_one(data: st.DataObject) -> None:
    """Any change to the text of a proof makes it none: it has one spelling as well."""
    proofs, use = DpopProofs(MemoryNames()), ProofUse("POST", TOKEN_URL)
    near = data.draw(damaged(PROOF_AS_SENT)).encode()

    assert outcome(proofs.confirmed([near], use, NOON)) != "answered"


PROOF_AS_SENT = signed(
    json.dumps(PROOF_HEADER).encode(), json.dumps({**PROOF, "jti": "x"}).encode()
)


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """An issuer that is trusted, and a client that presents what it signs."""
    with foreign_issuer() as issuer:
        yield Scene(issuer)


@given(typ=st.sampled_from(["JWT", "at+jwt", "oauth-id-jag+jwt"]), jti=GOOD, data=st.data())
def test_tokens_of_trusted_issuers(scene: Scene, typ: str, jti: str, data: st.DataObject) -> None:
    """Subject tokens and assertions of an issuer that is trusted, by each grant that takes them."""
    issuer = scene.issuer
    facts: Mapping[str, Any] = {**issuer.claims(client_id="agent"), "jti": jti}
    header = data.draw(objects(json.loads(issuer.header(typ=typ))))
    token = signed(header, data.draw(objects(facts)), issuer.provider.key.private)

    event(asyncio.run(scene.present(token)))


@given(header=objects({"typ": "at+jwt", "alg": "ES256", "kid": "x"}), claims=objects(ASSERTION))
def test_reading_says_what_the_library_reads(header: bytes, claims: bytes) -> None:
    """What we read of a JWT before it is verified is what PyJWT reads of it, if it reads it."""
    token = signed(header, claims)
    try:
        read = read_jwt(token)
    except UnreadableJwt:
        return

    try:
        theirs = jwt.decode_complete(token, options={"verify_signature": False})
    except jwt.PyJWTError:
        return

    assert (theirs["header"], theirs["payload"]) == (read.header, read.claims)
