"""An authorization server that we trust: its keys over real HTTP, its tokens with any defect."""

import hmac
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.utils import base64url_encode

from domain.permissions import Catalogue
from domain.trusted_issuer import IssuerTerms, TrustedIssuer
from tests.application.people.upstream_provider import Provider, SigningKey, running_provider
from tests.application.service import ISSUER, FakeService
from tests.builders import AT_NOON, NOON

MADE_AT = int(NOON.timestamp())


@dataclass
class ForeignIssuer:
    """What it publishes is its `provider`'s; what it signs, it says about alice at noon."""

    provider: Provider

    @property
    def name(self) -> str:
        """Its issuer identifier."""
        return self.provider.issuer

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return the claims of a good token; None takes one out."""
        claims = {
            "iss": self.name,
            "sub": "alice",
            "aud": ISSUER,
            "exp": MADE_AT + 300,
            "iat": MADE_AT,
            "nbf": MADE_AT,
            "jti": "foreign-1",
            "scope": "user mcp",
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(
        self, typ: str | None = "at+jwt", *, key: SigningKey | None = None, **changes: Any
    ) -> str:
        """Return a signed token; `header` in `changes` replaces members of its header."""
        header = {"alg": (key or self.provider.key).alg, "typ": typ}
        header |= {"kid": (key or self.provider.key).kid, **changes.pop("header", {})}
        return self.signed(_raw(header), _raw(self.claims(**changes)), key=key)

    def signed(
        self, header: str, claims: str | None = None, *, key: SigningKey | None = None
    ) -> str:
        """Return a token of a header and claims as text, signed whatever they say."""
        signing = key or self.provider.key
        signing_input = f"{_segment(header)}.{_segment(claims or _raw(self.claims()))}"
        algorithm = jwt.get_algorithm_by_name(signing.alg)
        signature = algorithm.sign(signing_input.encode(), signing.private)
        return f"{signing_input}.{base64url_encode(signature).decode()}"

    def header(self, **members: Any) -> str:
        """Return the header of a good token as text."""
        key = self.provider.key
        return _raw({"alg": key.alg, "kid": key.kid, "typ": "at+jwt", **members})

    def unsigned(self) -> str:
        """Return a token with `alg` none (RFC 7519, Section 6)."""
        return f"{_segment(self.header(alg='none'))}.{_segment(_raw(self.claims()))}."

    def keyed_hash(self) -> str:
        """Return a token whose "signature" is an HS256 under the public key."""
        private: Any = self.provider.key.private
        public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        signing_input = f"{_segment(self.header(alg='HS256'))}.{_segment(_raw(self.claims()))}"
        digest = hmac.digest(public, signing_input.encode(), "sha256")
        return f"{signing_input}.{base64url_encode(digest).decode()}"

    def tampered(self, **changes: Any) -> str:
        """Return a token whose claims were changed after the signature."""
        header, _, signature = self.token().split(".")
        return f"{header}.{_segment(_raw(self.claims(**changes)))}.{signature}"

    def trust(self, service: FakeService, **terms: Any) -> TrustedIssuer:
        """Let `service` trust it, for the scopes user and mcp."""
        facts = {"issuer": self.name, "scopes": ("user", "mcp"), **terms}
        issuer = TrustedIssuer.add(IssuerTerms(**facts), catalogue=Catalogue(), provenance=AT_NOON)
        service.log.record(issuer)
        return issuer


@contextmanager
def foreign_issuer(alg: str = "ES256") -> Iterator[ForeignIssuer]:
    """Run one on the loopback interface."""
    with running_provider(NOON, alg) as provider:
        yield ForeignIssuer(provider)


def _raw(document: dict[str, Any]) -> str:
    return json.dumps({name: value for name, value in document.items() if value is not None})


def _segment(text: str) -> str:
    return base64url_encode(text.encode()).decode()
