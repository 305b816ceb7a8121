"""Tokens on a person's authority: what the grants for people have in common.

A grant decides and saves; here the pieces are put together before, and worded afterwards.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from application.client_authentication import AuthenticatedClient
from application.derived_tokens import TokenKind
from application.issuing_service import IssuingService
from application.ports import TokenMinter
from application.request_context import RequestContext
from application.token_response import TokenResponse
from application.turns import Turns
from domain.access_token import AccessToken
from domain.authorization_details import Details
from domain.issuance import IssueRequest
from domain.issuing_client import Authority
from domain.permissions import OPENID
from domain.refresh_token_family import RefreshTokenFamily
from domain.session import Authorized


class PersonService(IssuingService, Protocol):
    """What it takes to decide about such a token."""

    @property
    def minter(self) -> TokenMinter:
        """What signs."""

    @property
    def turns(self) -> Turns:
        """Who uses which stream in this process."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a token request may narrow: None and empty leave it as granted."""

    scope: tuple[str, ...] | None = None
    resource: tuple[str, ...] = ()
    authorization_details: Details | None = None


NOTHING = Wishes()


@dataclass(frozen=True, slots=True)
class Behind:
    """Who stands behind a token: the person, and the session it acts in."""

    subject: str
    session_id: str


def first_tokens(
    requester: AuthenticatedClient,
    authority: Authority,
    behind: Behind,
    context: RequestContext,
    *,
    grant_type: str,
    service: PersonService,
    wishes: Wishes = NOTHING,
) -> tuple[AccessToken, RefreshTokenFamily | None]:
    """Decide the first access token of a grant, and its family where there is to be one.

    Raises a DomainError.
    """
    client, provenance = requester.client, context.provenance
    with_family = client.gets_refresh_token(authority.scope)
    family_id = service.ids.stream_id(provenance.occurred_at) if with_family else None
    token = client.issue_token_for_person(
        issue_request(requester, wishes, behind, context, service),
        authority,
        grant_type=grant_type,
        person=service.directory.principal(behind.subject),
        family_id=family_id,
        policy=service.policy,
        signing=service.minter.choose(client.tokens.signing_algorithm),
        provenance=provenance,
    )
    if family_id is None:
        return token, None
    family = client.start_family(
        family_id,
        authority,
        token,
        pepper_id=service.derived.pepper_id,
        policy=service.policy,
        provenance=provenance,
    )
    return token, family


def issue_request(
    requester: AuthenticatedClient,
    wishes: Wishes,
    behind: Behind,
    context: RequestContext,
    service: PersonService,
) -> IssueRequest:
    """Return the request as the client aggregate takes it, with a fresh token id."""
    return IssueRequest(
        token_id=service.ids.stream_id(context.provenance.occurred_at),
        session_id=behind.session_id,
        scope=wishes.scope,
        audience=wishes.resource,
        authentication_method=requester.method,
        credential_id=requester.credential_id,
        origin=context.origin,
        confirmation=context.confirmation,
        authorization_details=wishes.authorization_details,
    )


def authorized(token: AccessToken, family: RefreshTokenFamily | None) -> Authorized:
    """Return what the session's stream keeps of these tokens."""
    issued = token.issued
    return Authorized(
        client_id=issued.client_id,
        family_id=family.family_id if family else None,
        jti=str(token.id),
        # The family's absolute end: each rotation puts the idle end off.
        expires_at=family.started.expires_at if family else issued.expires_at,
    )


def answer(
    token: AccessToken,
    family: RefreshTokenFamily | None,
    service: PersonService,
    *,
    about: Mapping[str, Any],
) -> TokenResponse:
    """Return the token response; `about` goes into the ID token, where there is one.

    Raises KeyError where the pepper of the family was taken out of the settings.
    """
    issued = token.issued
    signed = service.minter.mint(token)
    refresh_token = None
    if family is not None:
        refresh_token = service.derived.derive(
            TokenKind.REFRESH,
            family.id,
            generation=family.generation,
            pepper_id=family.pepper_id,
        )
    id_token = None
    if OPENID in issued.scope:
        id_token = service.minter.mint_id_token(token, signed, about=about)
    return TokenResponse.to(token, signed, refresh_token=refresh_token, id_token=id_token)
