"""A small OpenID provider that runs over real HTTP, and can be told to misbehave."""

import base64
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from jwt.algorithms import get_default_algorithms

CLIENT_ID, CLIENT_SECRET = "grant&ledger", "s:cret"
REDIRECT_URI = "https://auth.example/login/upstream/callback"
SUBJECT = "Alice-1"
Claims = dict[str, Any]


@dataclass
class SigningKey:
    """A private key with what the provider publishes of it."""

    kid: str
    alg: str
    private: PrivateKeyTypes
    published: Claims = field(init=False)

    def __post_init__(self) -> None:
        algorithm: Any = get_default_algorithms()[self.alg]
        public = algorithm.to_jwk(self.private.public_key(), as_dict=True)
        self.published = {**public, "kid": self.kid, "use": "sig", "alg": self.alg}

    @classmethod
    def make(cls, alg: str, kid: str = "key-1") -> "SigningKey":
        """Make a fresh key for an algorithm."""
        match alg:
            case "ES256":
                return cls(kid, alg, ec.generate_private_key(ec.SECP256R1()))
            case "ES384":
                return cls(kid, alg, ec.generate_private_key(ec.SECP384R1()))
            case "EdDSA":
                return cls(kid, alg, ed25519.Ed25519PrivateKey.generate())
            case _:
                return cls(kid, alg, rsa.generate_private_key(65537, 2048))


def _as_issued(claims: Claims) -> Claims:
    return claims


@dataclass
class Provider:
    """What it publishes, and by what it departs from the rules."""

    issuer: str
    now: datetime
    key: SigningKey
    metadata: Claims = field(default_factory=dict)
    keys: list[Claims] = field(default_factory=list)
    requests: Counter[str] = field(default_factory=Counter)
    away: set[str] = field(default_factory=set)
    header: Claims = field(default_factory=dict)
    claims: Callable[[Claims], Claims] = _as_issued
    answer: Callable[[Claims], Claims] = _as_issued
    codes: dict[str, Mapping[str, str]] = field(default_factory=dict)
    redirect_uri: str = REDIRECT_URI
    asked: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.keys = [self.key.published]
        self.metadata = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "response_types_supported": ["code"],
            "authorization_response_iss_parameter_supported": True,
        }

    def respond(self, path: str, query: Mapping[str, str], request: "_Handler") -> None:
        """Answer one request."""
        self.requests[path] += 1
        if path in self.away:
            return request.reply(503, {})
        match path:
            case "/.well-known/openid-configuration":
                return request.reply(200, self.metadata)
            case "/jwks":
                return request.reply(200, {"keys": self.keys})
            case "/authorize":
                return self._authorize(query, request)
            case "/token":
                return self._token(query, request)
        return request.reply(404, {})

    def _authorize(self, query: Mapping[str, str], request: "_Handler") -> None:
        good = (
            query["client_id"] == CLIENT_ID
            and query["redirect_uri"] == self.redirect_uri
            and query["response_type"] == "code"
            and "openid" in query["scope"].split()
            and query["code_challenge_method"] == "S256"
        )
        if not good:
            return request.reply(400, {})
        code = secrets.token_urlsafe(8)
        self.codes[code] = self.asked = query
        back = urlencode({"code": code, "state": query["state"], "iss": self.issuer})
        return request.reply(302, {}, Location=f"{self.redirect_uri}?{back}")

    def _token(self, form: Mapping[str, str], request: "_Handler") -> None:
        begun = self.codes.pop(form.get("code", ""), None)
        known = self._authenticated(form, request.headers.get("Authorization"))
        challenge = base64.urlsafe_b64encode(sha256(form["code_verifier"].encode()).digest())
        if begun is None or not known or form["redirect_uri"] != self.redirect_uri:
            return request.reply(400, {"error": "invalid_grant"})
        if challenge.rstrip(b"=").decode() != begun["code_challenge"]:
            return request.reply(400, {"error": "invalid_grant"})
        answer = {
            "access_token": "at",
            "token_type": "Bearer",
            "id_token": self.id_token(begun["nonce"]),
        }
        return request.reply(200, self.answer(answer))

    def _authenticated(self, form: Mapping[str, str], header: str | None) -> bool:
        if self.metadata.get("token_endpoint_auth_methods_supported") == ["client_secret_post"]:
            given = (form.get("client_id"), form.get("client_secret"))
            return header is None and given == (CLIENT_ID, CLIENT_SECRET)
        # Form-encoded before they are Basic's: RFC 6749, Section 2.3.1.
        return header == "Basic " + base64.b64encode(b"grant%26ledger:s%3Acret").decode()

    def id_token(self, nonce: str) -> str:
        """Return the ID token of a login."""
        second = int(self.now.timestamp())
        claims = {
            "iss": self.issuer,
            "sub": SUBJECT,
            "aud": CLIENT_ID,
            "exp": second + 300,
            "iat": second,
            "auth_time": second - 30,
            "nonce": nonce,
        }
        header = {"kid": self.key.kid, **self.header}
        return jwt.encode(
            self.claims(claims),
            self.key.private,  # type: ignore[arg-type]  # the key types of cryptography, widest
            algorithm=self.key.alg,
            headers={name: value for name, value in header.items() if value is not None},
        )


class _Handler(BaseHTTPRequestHandler):
    provider: Provider

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.provider.respond(parts.path, _single(parts.query), self)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.provider.respond(self.path, _single(body.decode()), self)

    def reply(self, status: int, document: Claims, **headers: str) -> None:
        """Send a JSON document."""
        body = msgspec.json.encode(document)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def _single(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query).items()}


@contextmanager
def running_provider(now: datetime, alg: str = "ES256") -> Iterator[Provider]:
    """Run a provider on the loopback interface."""

    class Handler(_Handler):
        pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer = f"http://127.0.0.1:{server.server_address[1]}"
        Handler.provider = Provider(issuer, now, SigningKey.make(alg))
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Handler.provider
        finally:
            server.shutdown()
            thread.join()


async def visit(url: str) -> dict[str, str]:
    """Follow `url` as a browser and return the parameters with which it is sent back."""
    async with httpx.AsyncClient(trust_env=False) as browser:
        response = await browser.get(url)
    assert response.status_code == 302, response.text
    location = response.headers["Location"]
    assert location.startswith(REDIRECT_URI + "?")
    return _single(urlsplit(location).query)
