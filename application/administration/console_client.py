"""The client that the console is: made where it is missing, and kept at the issuer's present URL.

It is confidential and has no secret: nobody outside of the service can redeem its codes, so that
no person can take the token, which carries `audit:read`, out of the console. The service redeems
them itself, in the process that signs: it has nothing to prove to itself.
An administrator may disable it, which turns the console off; it is not enabled again from here.
"""

from typing import Protocol

from application.administration.deciding import DecidingService, begin, decide
from application.errors import ConflictingState
from domain.client import Client
from domain.client_configuration import (
    AUTHORIZATION_CODE,
    Audiences,
    ClientConfiguration,
    Redirects,
    TokenPolicy,
)
from domain.permissions import AUDIT_READ, OPENID, Catalogue
from domain.provenance import Provenance
from domain.redirect_uri import problem_with

CONSOLE_CLIENT = "grantledger-console"
CONSOLE_SCOPES = (OPENID, AUDIT_READ)
TOKEN_SECONDS = 900
"""How long a login to the console counts; the session of the person renews it without a word."""
CALLBACK_PATH = "/console/callback"
LOGGED_OUT_PATH = "/console/logged-out"


class _Service(DecidingService, Protocol):
    @property
    def catalogue(self) -> Catalogue: ...


async def ensure(*, issuer: str, audience: str, service: _Service, provenance: Provenance) -> bool:
    """Register the console's client, or bring its URLs up to `issuer` and its audience to that of
    management, `audience`.

    False where there can be no console: the catalogue has not its scopes, or no browser may be
    sent to the issuer, which is neither https nor on the loopback interface. Raises
    LedgerUnavailable.
    """
    unknown = [scope for scope in CONSOLE_SCOPES if scope not in service.catalogue.by_name]
    if unknown or problem_with(f"{issuer}{CALLBACK_PATH}") is not None:
        return False
    stream_id = Client.stream(CONSOLE_CLIENT)
    if await service.log.load(stream_id) is None:
        client = Client.register(
            _configuration(issuer, audience), catalogue=service.catalogue, provenance=provenance
        )
        try:
            await begin(service.log, client, name=CONSOLE_CLIENT)
        except ConflictingState:
            return True  # another process made it meanwhile
        return True

    def up_to_date(client: Client) -> None:
        client.set_redirects(_redirects(issuer), provenance=provenance)
        client.set_audiences(_audiences(audience), provenance=provenance)

    await decide(service, stream_id, Client, up_to_date, name=CONSOLE_CLIENT)
    return True


def _configuration(issuer: str, audience: str) -> ClientConfiguration:
    return ClientConfiguration(
        client_id=CONSOLE_CLIENT,
        name="Audit console",
        grant_types=(AUTHORIZATION_CODE,),
        scopes=CONSOLE_SCOPES,
        audiences=_audiences(audience),
        tokens=TokenPolicy(lifetime=TOKEN_SECONDS),
        redirects=_redirects(issuer),
    )


def _audiences(audience: str) -> Audiences:
    return Audiences(allowed=(audience,), default=(audience,))


def _redirects(issuer: str) -> Redirects:
    return Redirects(
        redirect_uris=(f"{issuer}{CALLBACK_PATH}",),
        post_logout_redirect_uris=(f"{issuer}{LOGGED_OUT_PATH}",),
    )
