"""Proofs of possession (RFC 9449, Section 4.3): whoever sends this request holds that key.

1 one DPoP header, 2 a JWT that is well-formed and not oversized, 3 with the claims `jti`, `htm`,
`htu` and `iat`, 4 of the type `dpop+jwt`, 5 by an asymmetric algorithm of the list, 6 signed with
the key in its header, 7 which is public, strong and written in the one way
(application.public_keys), 8 for this method, 9 for this endpoint, query and fragment aside, 10 with
a nonce of ours where we ask for one, 11 made within the last minute; the nonce tells that where
there is one, whatever the clock of the client says, 12 with an access token, `ath` is its hash and
the key the one that it is bound to, 13 it was not used before, on any replica.

What is wrong is told: the proof is the sender's own. 13 comes last, so that only a proof that is
right in everything else uses up a name: after the free checks of the request that it comes with as
well (application.single_use).
"""

import hmac
import re
import string
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import jwt

from application.dpop_nonces import DpopNonces
from application.errors import InvalidDpopProof, UseDpopNonce
from application.foreign_jwt import ForeignJwtRefused, imported_canonical
from application.jwt_claims import moment
from application.ports import UsedNames
from application.public_keys import UnusableKey, canonical_jwk
from application.single_use import SingleUse, UsableName
from application.unverified_jwt import UnreadableJwt, UnverifiedJwt, read_jwt
from domain.client_configuration import SIGNING_ALGORITHMS
from domain.confirmation import DPOP, Confirmation

PROOF_SECONDS = 60
"""How old a proof may be, and how far the clock of its maker may be ahead of ours."""
_KIND = "DPoP proof"
_TYPE = "dpop+jwt"
_MAX_JTI = 512
_DEFAULT_PORTS = {"https": 443, "http": 80}
_UNRESERVED = frozenset(f"{string.ascii_letters}{string.digits}-._~")
_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")


@dataclass(frozen=True, slots=True)
class ProofUse:
    """What a proof must have been made for: `method` and `url` of the request.

    `access_token` is the one that comes with it, and `bound_to` what that token says of its key.
    """

    method: str
    url: str
    access_token: str | None = None
    bound_to: Confirmation | None = None


class DpopProofs:
    """Verifies proofs; `used` remembers their names, `algorithms` are the names of the JWS
    algorithms that are taken.
    """

    def __init__(
        self,
        used: UsedNames,
        nonces: DpopNonces | None = None,
        *,
        algorithms: Sequence[str] = SIGNING_ALGORITHMS,
    ) -> None:
        self.used = used
        self._nonces = nonces
        self._algorithms = algorithms

    async def confirmed(
        self,
        headers: Sequence[bytes],
        use: ProofUse,
        now: datetime,
        *,
        once: SingleUse | None = None,
    ) -> Confirmation:
        """Return the key that the DPoP headers of a request prove.

        The name of the proof is added to `once`, and used by whoever has that; without it, it is
        used at once. Raises InvalidDpopProof, UseDpopNonce, LedgerUnavailable.
        """
        proof = _read(headers)  # 1, 2
        claims = proof.claims
        jti, issued_at = _named(claims)  # 3
        key = self._signed(proof)  # 4 to 7
        if claims["htm"] != use.method:  # 8
            raise InvalidDpopProof("the DPoP proof is for another method (htm)")
        if claims["htu"] != use.url and _normal(claims["htu"]) != _normal(use.url):  # 9
            raise InvalidDpopProof("the DPoP proof is for another URL (htu)")
        expires_at = self._in_time(claims, issued_at, now)  # 10, 11
        _require_token(claims, key, use)  # 12
        name = sha256(f"{key.thumbprint}\0{jti}".encode()).digest()
        names = SingleUse(self.used, now) if once is None else once
        names.add(UsableName(_KIND, name, expires_at, _used_before))  # 13
        if once is None:
            await names.use()
        return key

    def _signed(self, proof: UnverifiedJwt) -> Confirmation:
        if proof.type != _TYPE:  # 4
            raise InvalidDpopProof(f"the DPoP proof is not of type {_TYPE}")
        algorithm = proof.header.get("alg")
        if algorithm not in self._algorithms:  # 5
            raise InvalidDpopProof(
                f"the DPoP proof must be signed by one of {' '.join(self._algorithms)}"
            )
        canonical = _canonical(proof.header.get("jwk"))  # 7
        key = _key(canonical, str(algorithm))
        if not key.Algorithm.verify(proof.signing_input, key.key, proof.signature):  # 6
            raise InvalidDpopProof("the signature of the DPoP proof does not fit its jwk")
        return Confirmation(DPOP, _hashed(canonical))

    def _in_time(self, claims: Mapping[str, Any], issued_at: datetime, now: datetime) -> datetime:
        """Return until when the proof could be accepted."""
        if self._nonces is not None and self._nonces.wanted:
            if not self._nonces.fits(claims.get("nonce"), now):  # 10
                raise UseDpopNonce(self._nonces.current(now))
            return now + timedelta(seconds=self._nonces.longest)
        window = timedelta(seconds=PROOF_SECONDS)
        if not now - window <= issued_at <= now + window:  # 11
            raise InvalidDpopProof("the DPoP proof is too old, or of the future (iat)")
        return issued_at + window


def _used_before() -> InvalidDpopProof:
    return InvalidDpopProof("the DPoP proof was used before (jti)")


def _read(headers: Sequence[bytes]) -> UnverifiedJwt:
    if len(headers) != 1:  # 1
        raise InvalidDpopProof("there must be one DPoP header")
    try:
        return read_jwt(headers[0].decode("ascii"))
    except (UnreadableJwt, UnicodeDecodeError):  # 2
        raise InvalidDpopProof("the DPoP header is not a JWT") from None


def _named(claims: Mapping[str, Any]) -> tuple[str, datetime]:
    jti = claims.get("jti")
    try:
        issued_at = moment(claims, "iat")
    except ForeignJwtRefused:
        issued_at = None
    if not isinstance(jti, str) or not 0 < len(jti) <= _MAX_JTI:
        raise InvalidDpopProof("the DPoP proof has no usable jti")
    if issued_at is None:
        raise InvalidDpopProof("the DPoP proof has no usable iat")
    for name in ("htm", "htu"):
        if not isinstance(claims.get(name), str):
            raise InvalidDpopProof(f"the DPoP proof has no {name}")
    return jti, issued_at


def _canonical(jwk: object) -> str:
    """7. Return the JSON that the thumbprint of a public key is made of (RFC 7638, Section 3)."""
    try:
        return canonical_jwk(jwk)
    except UnusableKey as error:
        raise InvalidDpopProof(f"the jwk of the DPoP proof is of no use: {error}") from None


@lru_cache(maxsize=4096)  # a client proves the same key again and again
def _key(canonical: str, algorithm: str) -> jwt.PyJWK:
    key = imported_canonical(canonical, algorithm)
    if key is None:
        raise InvalidDpopProof("the jwk of the DPoP proof is of no use for its alg")
    return key


def _hashed(text: str) -> str:
    return urlsafe_b64encode(sha256(text.encode()).digest()).rstrip(b"=").decode()


def _require_token(claims: Mapping[str, Any], key: Confirmation, use: ProofUse) -> None:
    """12."""
    if use.access_token is None:
        return
    ath = claims.get("ath")
    if not isinstance(ath, str) or not hmac.compare_digest(
        ath.encode(errors="replace"), _hashed(use.access_token).encode()
    ):
        raise InvalidDpopProof("the DPoP proof is not for this access token (ath)")
    if key != use.bound_to:
        raise InvalidDpopProof("the access token is bound to another key than the DPoP proof's")


def _decoded(triplet: re.Match[str]) -> str:
    """RFC 3986, Section 6.2.2: what need not be encoded is not, and the rest in upper case."""
    character = chr(int(triplet[0][1:], 16))
    return character if character in _UNRESERVED else triplet[0].upper()


def _normal(url: str) -> str:
    """9. Return `url` normalised, without query and fragment (RFC 3986, Sections 6.2.2 and 6.2.3).

    What cannot be taken apart is left as it is, and fits nothing.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return url
    path = _PERCENT.sub(_decoded, parts.path)
    return f"{parts.scheme}://{(parts.hostname or '')}:{port}{path or '/'}"
