"""Logging in to the console and out of it: a client of our own authorization server.

Authorization code with PKCE (RFC 7636), state and nonce. The answer counts where

1 this browser began the login (its sealed attempt is there, and is dropped with the answer), 2 the
`state` is the attempt's, compared in constant time (RFC 6749, Section 10.12), 3 `iss` is this
issuer (RFC 9207, Section 2.4), 4 it is a code and no error, 5 the code is redeemed with the
attempt's verifier, 6 the ID token is of this login: nonce and audience (OpenID Connect Core,
Section 3.1.3.7), 7 the access token passes the gate (api.console.gate), roles included: else it is
revoked at once.

The code is redeemed in this process, by the use case that the token endpoint calls: no secret of
the console exists that could leak. Logout is RP-initiated (OpenID Connect RP-Initiated Logout):
the token is revoked, and the session of the person ends at the end session endpoint.
"""

import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from hashlib import sha256

from api.authorize_pages import AUTHORIZE_PATH
from api.console.cookies import Attempt, Cookies, Login
from api.console.gate import Gate, NoAuditor
from api.logout_pages import LOGOUT_PATH
from api.visit import AnyRequest, AnyResponse, Visit, path_with, redirect
from application.administration.console_client import (
    CALLBACK_PATH,
    CONSOLE_CLIENT,
    CONSOLE_SCOPES,
    LOGGED_OUT_PATH,
)
from application.client_authentication import AuthenticatedClient
from application.errors import AccessDenied, InvalidRequest, NotFound, OAuthError
from application.grants import authorization_code
from application.revocation import revoke
from application.token_keys import UnverifiableToken
from application.token_response import TokenResponse
from domain.client import Client

LOGIN_PATH = "/console/login"
HOME = "/console"
# A path of the console with its query: no host, no scheme, nothing that a browser reads as one.
_OWN_PATH = re.compile(r"/console(/[A-Za-z0-9._~/-]*)?(\?[A-Za-z0-9._~%&=+:*-]*)?")
_IN_PROCESS = "in_process"


def own_path(wanted: str | None) -> str:
    """Return `wanted` where it is a page of the console, else its first page."""
    plain = wanted or HOME
    own = _OWN_PATH.fullmatch(plain) and "//" not in plain and ".." not in plain
    return plain if own and not plain.startswith((LOGIN_PATH, CALLBACK_PATH)) else HOME


class Entrance:
    """Begins and completes logins, and ends them."""

    def __init__(self, cookies: Cookies, gate: Gate) -> None:
        self._cookies = cookies
        self._gate = gate

    async def begin(self, visit: Visit) -> AnyResponse:
        """Send the browser to the authorization endpoint."""
        await visit.service.rate_limits.authorize.require_address(visit.context)
        _client(visit)
        attempt = Attempt(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            wanted=own_path(visit.form.get("next")),
        )
        max_age = visit.service.settings.protected_max_age
        response = redirect(
            path_with(
                AUTHORIZE_PATH,
                response_type="code",
                client_id=CONSOLE_CLIENT,
                redirect_uri=_url(visit, CALLBACK_PATH),
                scope=" ".join(CONSOLE_SCOPES),
                state=attempt.state,
                nonce=attempt.nonce,
                code_challenge=_challenge(attempt.verifier),
                code_challenge_method="S256",
                **({"prompt": "login"} if visit.form.get("switch") else {}),
                **({} if max_age is None else {"max_age": str(max_age)}),
            )
        )
        self._cookies.keep_attempt(response, attempt)
        return response

    async def complete(self, visit: Visit, request: AnyRequest) -> AnyResponse:
        """Take the answer of the authorization endpoint."""
        visit.client_id = CONSOLE_CLIENT
        attempt = self._cookies.attempt(request)
        if attempt is None:  # 1
            raise InvalidRequest(
                f"this login was not begun in this browser, or too long ago; open {HOME} again",
                reason="no attempt of the console",
            )
        try:
            response = await self._completed(visit, request, attempt)
        except OAuthError as error:
            response = _refused(visit, error)
        self._cookies.forget_attempt(response)
        return response

    async def _completed(self, visit: Visit, request: AnyRequest, attempt: Attempt) -> AnyResponse:
        code = _answered_code(visit, attempt)  # 2, 3, 4
        issued = await _redeemed(visit, code, attempt)  # 5
        try:
            _require_own_login(visit, issued, attempt)  # 6
            auditor = await self._gate.auditor(request, issued.access_token)  # 7
        except OAuthError:
            await _revoke(visit, issued.access_token)
            raise
        response = redirect(attempt.wanted)
        self._cookies.keep_login(
            response,
            Login(issued.access_token, issued.id_token or ""),
            until=auditor.verified.expires_at,
            now=visit.context.provenance.occurred_at,
        )
        return response

    async def leave(self, visit: Visit, request: AnyRequest) -> AnyResponse:
        """End the login: its token now, the session at the end session endpoint."""
        login = self._cookies.login(request)
        if login is None:
            return redirect(LOGGED_OUT_PATH)
        await _revoke(visit, login.access_token)
        response = redirect(
            path_with(
                LOGOUT_PATH,
                id_token_hint=login.id_token,
                post_logout_redirect_uri=_url(visit, LOGGED_OUT_PATH),
            )
        )
        self._cookies.forget_login(response)
        return response


def _client(visit: Visit) -> Client:
    visit.client_id = CONSOLE_CLIENT
    client = visit.service.directory.client(CONSOLE_CLIENT)
    if client is None or not client.enabled:
        raise NotFound("the console is turned off here", reason="no enabled client of the console")
    if visit.service.policy.sender_constrained:
        # A browser's page holds no key that its token could be bound to.
        raise NotFound("there is no console where every token is bound to a key")
    return client


def _answered_code(visit: Visit, attempt: Attempt) -> str:
    state = visit.form.get("state") or ""
    if not hmac.compare_digest(state.encode(), attempt.state.encode()):  # 2
        raise InvalidRequest("this answer is to another login", reason="state differs")
    if visit.form.get("iss") != visit.service.settings.issuer_url:  # 3
        raise InvalidRequest("this answer is another issuer's", reason="iss differs")
    if visit.form.get("error") is not None:  # 4
        raise AccessDenied("you were not logged in to the console", reason="refused at login")
    return visit.form.require("code")


async def _redeemed(visit: Visit, code: str, attempt: Attempt) -> TokenResponse:
    parameters = authorization_code.Parameters(
        code, attempt.verifier, _url(visit, CALLBACK_PATH), ()
    )
    caller = AuthenticatedClient(_client(visit), _IN_PROCESS, "")
    return await authorization_code.handle(parameters, caller, visit.context, visit.service)


def _require_own_login(visit: Visit, issued: TokenResponse, attempt: Attempt) -> None:
    try:
        claims = visit.service.keys.verify_id_token(issued.id_token or "").claims
    except UnverifiableToken as error:
        raise InvalidRequest("this answer tells of no login", reason=str(error)) from None
    nonce = str(claims.get("nonce", ""))
    fits = hmac.compare_digest(nonce.encode(), attempt.nonce.encode())
    if not fits or claims["aud"] != CONSOLE_CLIENT:
        raise InvalidRequest("this answer is to another login", reason="nonce or aud differs")


async def _revoke(visit: Visit, access_token: str) -> None:
    client = visit.service.directory.client(CONSOLE_CLIENT)
    if client is None:
        return  # then nothing that was issued to it is live
    caller = AuthenticatedClient(client, _IN_PROCESS, "")
    await revoke(access_token, caller, visit.context, visit.service)


def _refused(visit: Visit, error: OAuthError) -> AnyResponse:
    return no_access(visit, error) if isinstance(error, NoAuditor) else visit.explain(error)


def no_access(visit: Visit, error: NoAuditor) -> AnyResponse:
    """Return the page for a person who may not read the audit trail; the refusal is recorded."""
    visit.denied(error)
    return visit.render("console/no_access.html", status=403, subject=error.subject)


def _url(visit: Visit, path: str) -> str:
    return f"{visit.service.settings.issuer_url}{path}"


def _challenge(verifier: str) -> str:
    """RFC 7636, Section 4.2."""
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
