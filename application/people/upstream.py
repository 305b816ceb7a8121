"""Login through one upstream OpenID provider: authorization code with PKCE, state and nonce.

What comes back is believed in this order (`finish`):

1. The state is one that we gave to this browser, not used before, at most ten minutes old.
2. `iss` is the provider's (RFC 9207), before anything else of the answer is looked at.
3. The provider did not answer with an error, and gave a code.
4. It takes the code, with our secret and the PKCE verifier, for an ID token.
5. The ID token is right: see upstream_id_token.py.
6. The login is as recent as the request wants it: see upstream_recency.py.
"""

import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256

import msgspec
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from pydantic import SecretStr

from application.one_time_values import OneTimeValues
from application.outbound import Outbound, OutboundError
from application.people.credentials import UPSTREAM_PREFIX
from application.people.upstream_id_token import Expected, IdTokenRefused, verified_claims
from application.people.upstream_metadata import Metadata, UpstreamMetadata, origin_of
from application.people.upstream_recency import ANY_LOGIN, Recency
from application.settings import Settings

CALLBACK_PATH = "/login/upstream/callback"
LIFETIME = timedelta(minutes=10)
_KIND = "upstream"
_ERROR_CODE = re.compile(r"[a-z_]{1,64}")


class UpstreamRefused(Exception):
    """The upstream login proves nothing; `reason` is for the record, not for the person."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class UpstreamClient:
    """What the provider and we agreed on."""

    issuer: str
    client_id: str
    client_secret: SecretStr = field(repr=False)
    name: str = "your organisation"
    scopes: tuple[str, ...] = ("openid",)
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UpstreamLogin:
    """Who logged in upstream; `request` is what `begin` was given."""

    issuer: str
    subject: str
    auth_time: datetime | None
    request: str


class _Begun(msgspec.Struct, frozen=True):
    nonce: str
    verifier: str
    browser: bytes
    request: str
    begun_at: datetime
    recency: Recency


class UpstreamProvider:
    """One configured provider."""

    def __init__(
        self,
        client: UpstreamClient,
        *,
        outbound: Outbound,
        values: OneTimeValues,
        redirect_uri: str,
    ) -> None:
        self._client = client
        self._metadata = UpstreamMetadata(client.issuer, client.hosts, outbound)
        self._values = values
        self._redirect_uri = redirect_uri

    @property
    def name(self) -> str:
        """What people know the provider as."""
        return self._client.name

    @property
    def source(self) -> str:
        """The origin to which `begin` leads, for the Content-Security-Policy of the login page."""
        return origin_of(self._client.issuer)

    async def begin(
        self, *, browser: str, request: str, now: datetime, recency: Recency = ANY_LOGIN
    ) -> str:
        """Return the URL to send the browser to; `request` comes back from `finish`.

        Raises UpstreamRefused, LedgerUnavailable.
        """
        metadata = await self._endpoints(now)
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        begun = _Begun(nonce, verifier, _hash(browser), request, now, recency)
        await self._values.put(
            _KIND, _hash(state), msgspec.json.encode(begun), expires_at=now + LIFETIME
        )
        url: str = prepare_grant_uri(
            metadata.authorization_endpoint,
            client_id=self._client.client_id,
            response_type="code",
            redirect_uri=self._redirect_uri,
            scope=" ".join(self._client.scopes),
            state=state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
            **recency.parameters(),
        )
        return url

    async def finish(
        self, *, parameters: Mapping[str, str], browser: str, now: datetime
    ) -> UpstreamLogin:
        """Return who logged in, from what the provider sent the browser back with.

        Raises UpstreamRefused, LedgerUnavailable.
        """
        begun = await self._begun(parameters.get("state", ""), browser, now)
        metadata = await self._endpoints(now)
        self._check_issuer(parameters, metadata)
        code = _code(parameters)
        try:
            answer = await self._exchange(metadata, code, begun.verifier)
            subject, auth_time = await verified_claims(
                answer.get("id_token"),
                expected=self._expected(begun, answer.get("access_token")),
                metadata=self._metadata,
                now=now,
            )
        except (OutboundError, IdTokenRefused) as refused:
            raise UpstreamRefused(str(refused)) from None
        if problem := begun.recency.problem_with(auth_time, begun_at=begun.begun_at):
            raise UpstreamRefused(problem)
        return UpstreamLogin(self._client.issuer, subject, auth_time, begun.request)

    async def _endpoints(self, now: datetime) -> Metadata:
        try:
            return await self._metadata.metadata(now)
        except OutboundError as error:
            raise UpstreamRefused(error.reason) from None

    async def _begun(self, state: str, browser: str, now: datetime) -> _Begun:
        """1. Taken before it is compared: a state is good for one answer, right or wrong."""
        content = await self._values.take(_KIND, _hash(state), now=now)
        if content is None:
            raise UpstreamRefused("state unknown, used or expired")
        begun = msgspec.json.decode(content, type=_Begun)
        # An attacker could otherwise log a victim's browser in as himself.
        if not hmac.compare_digest(begun.browser, _hash(browser)):
            raise UpstreamRefused("state of another browser")
        return begun

    def _check_issuer(self, parameters: Mapping[str, str], metadata: Metadata) -> None:
        """2. RFC 9207, Section 2.4: compare, and "reject [...] without the iss parameter" from a
        provider that says it sends it.
        """
        iss = parameters.get("iss")
        if iss is None and metadata.authorization_response_iss_parameter_supported:
            raise UpstreamRefused("iss missing")
        if iss is not None and iss != self._client.issuer:
            raise UpstreamRefused("iss of another provider")

    async def _exchange(self, metadata: Metadata, code: str, verifier: str) -> Mapping[str, object]:
        """4. OpenID Connect Core 1.0, Section 3.1.3.1."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": verifier,
        }
        client_id, secret = self._client.client_id, self._client.client_secret
        auth: tuple[str, SecretStr] | None = (client_id, secret)
        if "client_secret_basic" not in metadata.token_endpoint_auth_methods_supported:
            form |= {"client_id": client_id, "client_secret": secret.get_secret_value()}
            auth = None
        return await self._metadata.post(metadata.token_endpoint, form, auth=auth)

    def _expected(self, begun: _Begun, access_token: object) -> Expected:
        return Expected(
            issuer=self._client.issuer,
            client_id=self._client.client_id,
            nonce=begun.nonce,
            access_token=access_token if isinstance(access_token, str) else None,
        )


def upstream_of(settings: Settings, values: OneTimeValues) -> UpstreamProvider | None:
    """Return the configured provider, if there is one."""
    if not settings.upstream_issuer or settings.upstream_client_secret is None:
        return None
    client = UpstreamClient(
        issuer=settings.upstream_issuer,
        client_id=settings.upstream_client_id,
        client_secret=settings.upstream_client_secret,
        name=settings.upstream_name,
        scopes=settings.upstream_scopes,
        hosts=settings.upstream_hosts,
    )
    return UpstreamProvider(
        client,
        outbound=Outbound(private_hosts=settings.outbound_private_hosts),
        values=values,
        redirect_uri=settings.issuer_url + CALLBACK_PATH,
    )


def upstream_login_name(issuer: str, subject: str) -> str:
    """Return the key under which an upstream identity lies in the table `logins`.

    A hash, because names in that table are folded and cut, and a subject is neither ("a
    case-sensitive string", OpenID Connect Core 1.0, Section 2): whoever became "ALICE" upstream
    would be "alice" here. An issuer holds no `#`, so that no two pairs are one text.
    """
    return f"{UPSTREAM_PREFIX}{sha256(f'{issuer}#{subject}'.encode()).hexdigest()}"


def _code(parameters: Mapping[str, str]) -> str:
    """3. The provider's error is named where it is a word of OAuth, quoted never."""
    if (error := parameters.get("error")) is not None:
        word = error if _ERROR_CODE.fullmatch(error) else "an error"
        raise UpstreamRefused(f"the provider answers {word}")
    code = parameters.get("code")
    if not code:
        raise UpstreamRefused("no code")
    return code


def _hash(value: str) -> bytes:
    return sha256(value.encode()).digest()
