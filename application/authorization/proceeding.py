"""The next step of an authorization request: login, consent, or the code.

1 the client and its redirect URI still stand (the request may have waited on a page for minutes),
2 the person is logged in: in a live session, by the login that this very request led to, or after
the request where `prompt=login` says so, not longer ago than `max_age`, and is the one that
`id_token_hint` names, 3 the client may be given something on that person's authority, 4 the person
consented to it: at some time, for the same resources and redirect target, or in answer to this very
request where `prompt=consent` says so, there are authorization details, or any program of the
machine could ask so (a public client, and no https to go to), 5 the code is recorded.

With `prompt=none`, 2 and 4 are errors instead of pages.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from application.authorization.pending import Authorizing
from application.authorization.request import AuthorizationRequest
from application.derived_tokens import TokenKind
from application.errors import (
    AccessDenied,
    ConsentRequired,
    InvalidRequest,
    LoginRequired,
    OAuthError,
    from_domain,
)
from application.issuing_service import IssuingService
from application.ports import Directory
from application.recorded_token import (
    Circumstances,
    RecordService,
    recorded_id_token,
    verified_id_token,
)
from application.request_context import RequestContext
from application.standing_consent import Agreed, targets_for_person
from application.token_keys import UnverifiableToken
from domain.authorization_code import AuthorizationCode, CodeTerms
from domain.client import Client
from domain.client_configuration import AUTHORIZATION_CODE, ClientType
from domain.confirmation import DPOP, Confirmation
from domain.consents import Consents
from domain.errors import DomainError, PersonNotActive
from domain.issuance import Narrowing
from domain.redirect_uri import match, target_of
from domain.session import Session


class AuthorizationService(IssuingService, RecordService, Protocol):
    """What it takes to take the next step."""


@dataclass(frozen=True, slots=True)
class LoginNeeded:
    """The person has to log in (again)."""


@dataclass(frozen=True, slots=True)
class ConsentNeeded:
    """The person has to be asked whether the client may have what is to be `agreed` to."""

    client: Client
    agreed: Agreed


@dataclass(frozen=True, slots=True)
class CodeIssued:
    """The code for the client; it goes to the redirect URI of the request."""

    code: str

    def __repr__(self) -> str:
        return "CodeIssued(...)"


Step = LoginNeeded | ConsentNeeded | CodeIssued


async def proceed(
    pending: Authorizing,
    session: Session | None,
    context: RequestContext,
    service: AuthorizationService,
) -> Step:
    """Return the next step; a code is recorded by then. `session` is the browser's, or None.

    Raises an OAuthError that goes to the client, LedgerUnavailable.
    """
    request = pending.request
    client = standing_client(request, service.directory)  # 1
    if session is None or not await _logged_in(pending, session, context, service):  # 2
        if "none" in request.prompt:
            raise LoginRequired("nobody is logged in")
        return LoginNeeded()
    narrowing = _granted(client, request, session, service)  # 3
    agreed = Agreed(
        client.client_id,
        session.subject,
        narrowing.granted,
        targets_for_person(client, request.resource, service.policy),
        target_of(request.redirect_uri),
    )
    consents = await service.log.load(Consents.stream(session.subject))  # 4
    remembered = agreed.covered_by(consents)
    asked_now = pending.consented_in == session.session_id
    # What is to be paid, or read, is another thing each time: no consent of before covers it.
    anew = "consent" in request.prompt or bool(request.authorization_details)
    anew = anew or _may_be_anybody(client, request.redirect_uri)
    if not remembered or (anew and not asked_now):
        if "none" in request.prompt:
            raise ConsentRequired("the person has not consented to this")
        return ConsentNeeded(client, agreed)
    return await _issue(request, narrowing, session, context, service)  # 5


def _may_be_anybody(client: Client, redirect_uri: str) -> bool:
    """Tell whether any program of the person's machine could ask as this client and get the answer.

    RFC 8252, Section 8.6: such a request is not answered without the person: another program, on
    another port or with the same private scheme, would be given what was consented to before.
    """
    return client.client_type is ClientType.PUBLIC and not redirect_uri.startswith("https://")


def standing_client(request: AuthorizationRequest, directory: Directory) -> Client:
    """Return the client of a request that was checked before.

    Raises InvalidRequest where it, or its redirect URI, went meanwhile: then nothing is redirected.
    """
    client = directory.client(request.client_id)
    if client is None or not client.enabled:
        raise InvalidRequest("this client is not known here", reason="client gone or disabled")
    if not match(request.redirect_uri, client.redirects.redirect_uris):
        raise InvalidRequest("the redirect_uri is not registered any more")
    return client


async def _logged_in(
    pending: Authorizing, session: Session, context: RequestContext, service: AuthorizationService
) -> bool:
    request, now = pending.request, context.provenance.occurred_at
    if not session.live(now) or session.full(now):
        return False
    if pending.answered_by != session.login_id and not _as_recent_as_asked(pending, session, now):
        return False
    return await _is_hinted(request.id_token_hint, session, context, service)


def _as_recent_as_asked(pending: Authorizing, session: Session, now: datetime) -> bool:
    """Tell whether a login that another request led to is as recent as this one wants it."""
    request = pending.request
    anew = {"login", "select_account"} & set(request.prompt)
    if anew and session.authenticated_at < pending.started_at:
        return False
    if request.max_age is None:
        return True
    # What was shown on a page of ours meanwhile takes nothing away from a login after the request.
    oldest = min(now - timedelta(seconds=request.max_age), pending.started_at)
    return session.authenticated_at >= oldest


async def _is_hinted(
    hint: str | None, session: Session, context: RequestContext, service: AuthorizationService
) -> bool:
    if hint is None:
        return True
    presented = Circumstances.of(context, "authorize")
    try:
        verified = verified_id_token(hint, presented, service)
        record = await recorded_id_token(verified, presented, service)
        return record.issued.subject == session.subject
    except UnverifiableToken:
        raise InvalidRequest("id_token_hint is not an ID token of ours") from None


def _granted(
    client: Client, request: AuthorizationRequest, session: Session, service: AuthorizationService
) -> Narrowing:
    try:
        return client.authorize(
            request.scope,
            request.resource,
            grant_type=AUTHORIZATION_CODE,
            person=service.directory.principal(session.subject),
            policy=service.policy,
        )
    except PersonNotActive as error:
        raise AccessDenied("access was denied", reason=str(error)) from error
    except DomainError as error:
        raise from_domain(error) from error


async def _issue(
    request: AuthorizationRequest,
    narrowing: Narrowing,
    session: Session,
    context: RequestContext,
    service: AuthorizationService,
) -> CodeIssued:
    provenance = context.provenance
    terms = CodeTerms(
        client_id=request.client_id,
        subject=session.subject,
        session_id=session.session_id,
        redirect_uri=request.redirect_uri,
        challenge=request.challenge,
        requested_scope=request.scope,
        scope=narrowing,
        resource=request.resource,
        nonce=request.nonce,
        authenticated_at=session.authenticated_at,
        methods=session.methods,
        confirmation=Confirmation(DPOP, request.dpop_jkt) if request.dpop_jkt else None,
        authorization_details=request.authorization_details,
    )
    stream_id = service.ids.stream_id(provenance.occurred_at)
    pepper_id = service.derived.pepper_id
    await service.log.save(
        AuthorizationCode.issue(stream_id, terms, provenance=provenance, pepper_id=pepper_id)
    )
    return CodeIssued(service.derived.derive(TokenKind.CODE, stream_id))


def response_parameters(
    outcome: CodeIssued | OAuthError, *, state: str | None, issuer: str
) -> list[tuple[str, str]]:
    """Return the parameters of an authorization response (RFC 6749, Sections 4.1.2 and 4.1.2.1)."""
    if isinstance(outcome, CodeIssued):
        parameters = [("code", outcome.code)]
    else:
        parameters = [("error", outcome.code), ("error_description", outcome.description)]
    if state is not None:
        parameters.append(("state", state))
    return [*parameters, ("iss", issuer)]
