"""The keys of one process: signs what was issued, verifies what comes back.

What is signed is encoded once: the record of a token names the SHA-256 of exactly these bytes. A
signature shows that a key of ours signed, never that this service did: application.recorded_token
compares what was verified with its record.

A token is a JWT access token of RFC 9068: `typ` at+jwt, claims iss sub aud exp iat nbf jti
client_id scope sid salt and, where they apply, auth_time, roles and plugin_id. An ID token (OpenID
Connect Core, Section 2) is signed by the same keys, and its `typ` keeps it from passing for one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256, sha512
from secrets import token_urlsafe
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from jwt.algorithms import Algorithm
from jwt.utils import base64url_encode

from application.errors import TemporarilyUnavailable
from application.key_material import algorithm_of, signing_function
from application.unverified_jwt import UnreadableJwt, UnverifiedJwt, read_jwt
from domain.access_token import ID_JAG, AccessToken
from domain.confirmation import Confirmation
from domain.descent import Actor
from domain.issuance import SigningChoice
from domain.signing_key import KeyState, SigningKey

ID_JAG_TYPE = "oauth-id-jag+jwt"
INTROSPECTION_TYPE = "token-introspection+jwt"
TOKEN_TYPE = "at+jwt"  # noqa: S105  # the media type of RFC 9068, Section 2.1, not a secret
ID_TOKEN_TYPE = "JWT"  # noqa: S105  # the media type of RFC 7519, Section 5.1
REQUIRED_CLAIMS = ("iss", "sub", "aud", "exp", "iat", "jti", "client_id")
"""RFC 9068, Section 2.2: what every access token has."""
ID_REQUIRED_CLAIMS = ("iss", "sub", "aud", "exp", "iat", "sid", "origin_jti")
"""What every ID token of ours has; `origin_jti` is the access token that it came with."""
SALT = "salt"
"""The member of an access token that no record tells, and only the hash of its payload covers. Else
a thief of the database and the signing key could write a living token anew, to the byte: the hash
of an ID token covers it by `at_hash`.
"""
_SALT_BYTES = 16
KNOWN_TOKENS = 1024
"""How many tokens a process knows the signature of: who asks about one often asks again."""
_OTHERWISE = {TOKEN_TYPE: "not an access token", ID_TOKEN_TYPE: "not an ID token"}
_HASHES: Mapping[str, Callable[[bytes], Any]] = {
    "ES256": sha256,
    "RS256": sha256,
    "PS256": sha256,
    "EdDSA": sha512,
}
"""By which `at_hash` is made: the hash of the algorithm (OpenID Connect Core, Section 3.1.3.6)."""
_LAST_MOMENT = 253_402_300_799
"""The end of the year 9999, the last that a datetime can be."""


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_moment(value: object) -> bool:
    return type(value) is int and 0 <= value <= _LAST_MOMENT


def _is_audience(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(map(_is_text, value)))


def _is_confirmation(value: object) -> bool:
    try:
        Confirmation.of(value)
    except ValueError:
        return False
    return True


_SHAPES: Mapping[str, Callable[[object], bool]] = {
    **dict.fromkeys(("iss", "sub", "jti", "client_id", "scope", "sid", "origin_jti"), _is_text),
    **dict.fromkeys(("exp", "iat", "nbf", "auth_time"), _is_moment),
    "aud": _is_audience,
    "cnf": _is_confirmation,
}
"""How claims look that this service signs: what reads them later need not expect anything else."""


class UnverifiableToken(Exception):
    """The string is not a token that this service signed; the message says why, for the record."""


class MisshapenToken(UnverifiableToken):
    """A key of ours signed it, and no token of ours has that shape: `names` are the members."""

    def __init__(
        self, what: str, claims: Mapping[str, Any], *, kid: str, names: Sequence[str]
    ) -> None:
        super().__init__(f"claims {what}: {' '.join(names)}")
        self.claims = claims
        self.kid = kid
        self.names = tuple(names)


@dataclass(frozen=True, slots=True)
class _Signer:
    sign: Callable[[bytes], bytes]
    headers: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class _Verifier:
    name: str
    algorithm: Algorithm
    key: Any


@dataclass(frozen=True, slots=True)
class VerifiedClaims:
    """The claims of a token whose signature, issuer and type were checked. Not its liveness, nor
    whether it was issued.

    `kid` is the key that signed it, `payload_sha256` the SHA-256 of what was signed (base64url);
    both are empty for tokens of other issuers.
    """

    claims: Mapping[str, Any]
    token_id: str
    client_id: str
    audience: tuple[str, ...]
    scope: tuple[str, ...]
    expires_at: int
    kid: str = ""
    payload_sha256: str = ""

    def expired(self, now: datetime) -> bool:
        """Tell whether `exp` (RFC 7519, Section 4.1.4) has come at `now`."""
        return now.timestamp() >= self.expires_at


@dataclass(frozen=True, slots=True)
class VerifiedIdToken:
    """The claims of an ID token whose signature, issuer and type were checked, expired or not.

    `kid` and `payload_sha256` are as those of VerifiedClaims.
    """

    claims: Mapping[str, Any]
    kid: str
    payload_sha256: str

    def expired(self, now: datetime) -> bool:
        """Tell whether `exp` has come at `now`."""
        return now.timestamp() >= float(self.claims["exp"])


class TokenKeys:
    """Implements the TokenMinter port; refreshed by the composition root when a key changes."""

    def __init__(self, *, issuer: str, algorithms: tuple[str, ...]) -> None:
        self._issuer = issuer
        self._algorithms = algorithms
        self._active: dict[str, SigningChoice] = {}
        self._signers: dict[str, _Signer] = {}
        self._verifiers: dict[str, _Verifier] = {}
        self._encode = msgspec.json.Encoder().encode
        self._known = lru_cache(KNOWN_TOKENS)(self._access_claims)

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The algorithms that this deployment signs with, the default first."""
        return self._algorithms

    @property
    def ready(self) -> bool:
        """Whether a key of every algorithm of the deployment can sign."""
        return all(algorithm in self._active for algorithm in self._algorithms)

    def update(
        self,
        keys: Iterable[SigningKey],
        private_keys: Mapping[str, PrivateKeyTypes],
        *,
        now: datetime,
    ) -> None:
        """Sign with the active keys whose private half is in `private_keys`; verify with all that
        are published at `now`.
        """
        active: dict[str, SigningChoice] = {}
        signers: dict[str, _Signer] = {}
        verifiers: dict[str, _Verifier] = {}
        for key in sorted(keys, key=lambda key: key.modified_on):
            algorithm = algorithm_of(key.algorithm)
            if key.published(now):
                public = algorithm.from_jwk(dict(key.public_jwk))
                verifiers[key.kid] = _Verifier(key.algorithm, algorithm, public)
            if key.state is KeyState.ACTIVE and key.kid in private_keys:
                active[key.algorithm] = SigningChoice(key.kid, key.algorithm)
                headers = {
                    typ: _segment({"alg": key.algorithm, "typ": typ, "kid": key.kid})
                    for typ in (TOKEN_TYPE, ID_TOKEN_TYPE, ID_JAG_TYPE, INTROSPECTION_TYPE)
                }
                signers[key.kid] = _Signer(
                    signing_function(key.algorithm, private_keys[key.kid]), headers
                )
        self._active, self._signers, self._verifiers = active, signers, verifiers
        self._known.cache_clear()  # a key that is published no more vouches for nothing

    def choose(self, algorithm: str | None) -> SigningChoice:
        """Return the active key of `algorithm`, or of the deployment's first where None.

        Raises TemporarilyUnavailable where there is none.
        """
        wanted = algorithm or self._algorithms[0]
        try:
            return self._active[wanted]
        except KeyError:
            raise TemporarilyUnavailable(reason=f"no active {wanted} key") from None

    def mint(self, token: AccessToken) -> str:
        """Return the signed JWT of a token that was decided; its record names what was signed."""
        issued = token.issued
        payload = self._encode({**self._claims(token), SALT: token_urlsafe(_SALT_BYTES)})
        token.sign_as(payload_digest(payload))
        token_type = ID_JAG_TYPE if issued.form == ID_JAG else TOKEN_TYPE
        return self._signed(payload, SigningChoice(issued.kid, issued.algorithm), token_type)

    def recorded_claims(self, token: AccessToken) -> Mapping[str, Any]:
        """Return the claims that a recorded token has, as they read in its JWT, but SALT."""
        claims: Mapping[str, Any] = msgspec.json.decode(self._encode(self._claims(token)))
        return claims

    def _claims(self, token: AccessToken) -> dict[str, Any]:
        issued = token.issued
        if issued.form == ID_JAG:
            return self._id_jag_claims(token)
        begins = int(issued.timestamp.timestamp())
        audience = issued.audience
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "sub": issued.subject,
            "aud": audience[0] if len(audience) == 1 else audience,
            "exp": int(issued.expires_at.timestamp()),
            "iat": begins,
            "nbf": begins,
            "jti": token.id,
            "client_id": issued.client_id,
            "scope": " ".join(issued.scope),
            "sid": issued.session_id,
        }
        if issued.plugin_id is not None:
            claims["plugin_id"] = issued.plugin_id
        if issued.authenticated_at is not None:
            claims["auth_time"] = int(issued.authenticated_at.timestamp())
        if issued.roles is not None:
            claims["roles"] = issued.roles
        if issued.may_act is not None:
            claims["may_act"] = permitted(issued.may_act)
        if token.actors:
            claims["act"] = nested(token.actors)
        if issued.confirmation is not None:
            claims["cnf"] = issued.confirmation.claim()
        if issued.authorization_details:
            claims["authorization_details"] = issued.authorization_details
        return claims

    def _id_jag_claims(self, token: AccessToken) -> dict[str, Any]:
        """Return what an identity assertion says (draft-ietf-oauth-identity-assertion-authz-grant).

        It says no more about the person than its audience needs: neither session nor roles.
        """
        issued = token.issued
        resource = issued.descent.resource if issued.descent else ()
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "sub": issued.subject,
            "aud": issued.audience[0],
            "client_id": issued.client_id,
            "jti": str(token.id),
            "exp": int(issued.expires_at.timestamp()),
            "iat": int(issued.timestamp.timestamp()),
            "scope": " ".join(issued.scope),
            **({"resource": resource} if resource else {}),
        }
        if issued.authenticated_at is not None:
            claims["auth_time"] = int(issued.authenticated_at.timestamp())
        return claims

    def mint_id_token(
        self, token: AccessToken, access_token: str, *, about: Mapping[str, Any]
    ) -> str:
        """Return the signed ID token that goes with `access_token`, the value of `token`; the
        record of that names what was signed.

        `about` holds further claims: nonce and amr. OpenID Connect Core, Section 2.
        """
        issued = token.issued
        digest = _HASHES[issued.algorithm](access_token.encode()).digest()
        claims = {
            **self.recorded_id_claims(token),
            "at_hash": base64url_encode(digest[: len(digest) // 2]).decode(),
            **about,
        }
        payload = self._encode(claims)
        token.sign_id_token_as(payload_digest(payload))
        return self._signed(payload, SigningChoice(issued.kid, issued.algorithm), ID_TOKEN_TYPE)

    def recorded_id_claims(self, token: AccessToken) -> dict[str, Any]:
        """Return the claims that an ID token shares with the record of its access token."""
        issued = token.issued
        assert issued.authenticated_at is not None
        return {
            "iss": self._issuer,
            "sub": issued.subject,
            "aud": issued.client_id,
            "exp": int(issued.expires_at.timestamp()),
            "iat": int(issued.timestamp.timestamp()),
            "auth_time": int(issued.authenticated_at.timestamp()),
            "sid": issued.session_id,
            "origin_jti": str(token.id),
        }

    def verify_id_token(self, token: str) -> VerifiedIdToken:
        """Return the claims of an ID token of ours, expired or not: a hint (RP-Initiated Logout).

        Raises UnverifiableToken.
        """
        read, kid = self._verified(token, ID_TOKEN_TYPE, ID_REQUIRED_CLAIMS)
        return VerifiedIdToken(read.claims, kid, payload_digest(read.payload))

    def sign(
        self, claims: Mapping[str, Any], choice: SigningChoice, *, token_type: str = TOKEN_TYPE
    ) -> str:
        """Return `claims` as a compact JWS (RFC 7515, Section 7.1), signed with what `choose` gave.

        Raises TemporarilyUnavailable for a key that does not sign (any more).
        """
        return self._signed(self._encode(claims), choice, token_type)

    def _signed(self, payload: bytes, choice: SigningChoice, token_type: str) -> str:
        try:
            signer = self._signers[choice.kid]
        except KeyError:  # rotated or revoked since it was chosen
            raise TemporarilyUnavailable(reason=f"key {choice.kid} signs no more") from None
        # PyJWT's encode() checks and encodes the same header for every token: 40 us of 85.
        signing_input = signer.headers[token_type] + b"." + base64url_encode(payload)
        return (signing_input + b"." + base64url_encode(signer.sign(signing_input))).decode()

    def verify(self, token: str) -> VerifiedClaims:
        """Return the claims of an access token of ours, expired or not. Raises UnverifiableToken.

        1 readable, not oversized, 2 a header with a kid that is published, 3 that key's own
        algorithm and no other, 4 typ (RFC 9068, Section 4), 5 signature, 6 issuer and the claims
        every token of ours has, in the shape that ours have. What was verified is kept for a while,
        and nothing refused is.
        """
        return self._known(token)

    def _access_claims(self, token: str) -> VerifiedClaims:
        read, kid = self._verified(token, TOKEN_TYPE, REQUIRED_CLAIMS)
        return access_claims(read.claims, kid=kid, payload_sha256=payload_digest(read.payload))

    async def claims_of(self, token: str, now: datetime) -> VerifiedClaims:  # noqa: ARG002
        """Return what `verify` does: for a resource server in the same process."""
        return self.verify(token)

    def _verified(
        self, token: str, token_type: str, required: Sequence[str]
    ) -> tuple[UnverifiedJwt, str]:
        try:
            read = read_jwt(token)  # 1
        except UnreadableJwt as error:
            raise UnverifiableToken(str(error)) from None
        kid = read.header.get("kid")
        verifier = self._verifiers.get(kid) if isinstance(kid, str) else None  # 2
        if verifier is None:
            raise UnverifiableToken("unknown kid")
        if read.header.get("alg") != verifier.name:  # 3
            raise UnverifiableToken("algorithm is not the key's")
        if read.type != token_type.lower():  # 4
            raise UnverifiableToken(_OTHERWISE[token_type])
        if not verifier.algorithm.verify(read.signing_input, verifier.key, read.signature):  # 5
            raise UnverifiableToken("bad signature")
        if read.claims.get("iss", self._issuer) != self._issuer:  # 6
            raise UnverifiableToken("another issuer")
        _require_shape(read.claims, required, kid=str(kid))
        return read, str(kid)


def _require_shape(claims: Mapping[str, Any], required: Sequence[str], *, kid: str) -> None:
    missing = [name for name in required if name not in claims]
    odd = [name for name, fits in _SHAPES.items() if name in claims and not fits(claims[name])]
    if missing or odd:
        raise MisshapenToken(
            "missing" if missing else "misshapen", claims, kid=kid, names=missing or odd
        )


def payload_digest(payload: bytes) -> str:
    """Return the SHA-256 of the payload of a JWS, decoded, as base64url without padding."""
    return base64url_encode(sha256(payload).digest()).decode()


def nested(actors: Sequence[Actor]) -> dict[str, Any]:
    """Return the `act` claim (RFC 8693, Section 4.1) of `actors`, the newest first."""
    act: dict[str, Any] = {}
    for actor in reversed(actors):
        issuer = {} if actor.issuer is None else {"iss": actor.issuer}
        act = {"sub": actor.subject, **issuer, **({"act": act} if act else {})}
    return act


def permitted(may_act: Sequence[str]) -> dict[str, Any]:
    """Return the `may_act` claim (RFC 8693, Section 4.4), which is about one party.

    For several, or nobody, its `sub` is a list: who takes that for no name lets nobody act.
    """
    return {"sub": may_act[0] if len(may_act) == 1 else list(may_act)}


def access_claims(
    claims: Mapping[str, Any], *, kid: str = "", payload_sha256: str = ""
) -> VerifiedClaims:
    """Return the claims of an access token that was verified and has the REQUIRED_CLAIMS."""
    audience = claims["aud"]
    return VerifiedClaims(
        claims=claims,
        token_id=str(claims["jti"]),
        client_id=str(claims["client_id"]),
        audience=(audience,) if isinstance(audience, str) else tuple(audience),
        scope=tuple(str(claims.get("scope", "")).split()),
        expires_at=int(claims["exp"]),
        kid=kid,
        payload_sha256=payload_sha256,
    )


def _segment(header: Mapping[str, str]) -> bytes:
    return base64url_encode(msgspec.json.encode(header))
