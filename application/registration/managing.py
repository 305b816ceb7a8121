"""A client reads, updates and deletes its own registration (RFC 7592, Section 2).

1 a token is presented, 2 the client registered itself and this token manages it, 3 the client is
not disabled: whatever fails of these, the answer and the work are the same (Section 5).

An update replaces what the client says about itself, as one unit:

4 it names the client and its present secret, if any, and none of the members that are ours to give,
5 a client that a publisher vouched for is vouched for by the same one again: its holder could
otherwise put addresses of its own under the publisher's name, 6 it is vetted like a registration,
but within the scopes and grant types that the client has: what an administrator took away it cannot
give itself (application.registration.replacing), 7 it does not change between public and
confidential.

Deleting disables the client; its record stays.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from application.administration.deciding import decide, decide_as_holder
from application.errors import InvalidClientMetadata, InvalidRequest, InvalidSoftwareStatement
from application.registration.registering import (
    Registered,
    RegistrationService,
    by,
    with_secret,
)
from application.registration.replacing import replace_metadata
from application.registration.tokens import manages, unusable
from application.registration.vetting import Application, vetted
from application.request_context import RequestContext
from application.secret_keys import PresentedSecret
from domain.client import Client

# RFC 7592, Section 2.2: "The client MUST NOT include" these.
_OURS = (
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
)
_ITSELF = "the client itself"


async def managed(client_id: str, token: str | None, service: RegistrationService) -> Client:
    """Return the client as of now once 1 to 3 hold. Raises InvalidToken, LedgerUnavailable."""
    if token is None:  # 1
        raise unusable("no registration access token")
    found = await service.log.load(Client.stream(client_id)) if client_id.isascii() else None
    client = found if isinstance(found, Client) else None
    if not manages(token, client, service.peppers) or client is None:  # 2
        raise unusable("not the registration access token of the client")
    if not client.enabled:  # 3
        raise unusable("the client is disabled")
    return client


async def update(
    client_id: str,
    token: str | None,
    document: Mapping[str, Any],
    context: RequestContext,
    service: RegistrationService,
) -> Registered:
    """Replace what a client says about itself; a client that needs a secret and has none gets one.

    Raises InvalidToken, InvalidRequest, the errors of `vetted`, ConflictingState,
    LedgerUnavailable.
    """
    client = await managed(client_id, token, service)  # 1 to 3
    assert token is not None
    _require_update_of(client, document, context, service)  # 4
    limits = replace(
        service.registration.limits,
        scopes=client.scopes,
        grant_types=client.grant_types,
        held_redirects=_redirects_of(client),
    )
    application = Application(
        client.client_id, document, client.registration, client.scopes, client.grant_types
    )
    now = context.provenance.occurred_at
    wanted = await vetted(application, limits, service=service, now=now)  # 6
    if wanted.registration.publisher != client.registration.publisher:  # 5
        raise InvalidSoftwareStatement("a statement of the same publisher is needed again")
    if wanted.client_type is not client.client_type:  # 7
        raise InvalidClientMetadata(
            "token_endpoint_auth_method: none cannot be taken up or given up"
        )
    provenance = by(context.provenance, _ITSELF)
    secrets = []

    def apply(current: Client) -> None:
        if not current.enabled:
            raise unusable("the client is disabled")
        replace_metadata(current, wanted, catalogue=service.catalogue, provenance=provenance)
        secrets.append(with_secret(current, service.peppers, provenance))

    stream_id = Client.stream(client_id)
    changed = await decide_as_holder(service, stream_id, Client, apply, name=client_id)
    return Registered(changed, token, secrets[-1])


async def delete(
    client_id: str, token: str | None, context: RequestContext, service: RegistrationService
) -> None:
    """Disable a client: nothing is issued to it and its tokens are inactive at once.

    Raises InvalidToken, TemporarilyUnavailable, LedgerUnavailable.
    """
    await managed(client_id, token, service)
    asked = by(context.provenance, _ITSELF)
    provenance = replace(asked, why="deleted by the client")
    await decide(
        service,
        Client.stream(client_id),
        Client,
        lambda client: client.disable(provenance),
        name=client_id,
    )


def _require_update_of(
    client: Client,
    document: Mapping[str, Any],
    context: RequestContext,
    service: RegistrationService,
) -> None:
    """4. Raise InvalidRequest for an update that is not of this client as it is."""
    if document.get("client_id") != client.client_id:
        raise InvalidRequest("client_id must be that of the client")
    ours = [name for name in _OURS if name in document]
    if ours:
        raise InvalidRequest(f"{ours[0]} is not the client's to set")
    secret = document.get("client_secret")
    if secret is None:
        return
    # Section 2.2: it "MUST match the currently issued client secret for that client".
    presented = PresentedSecret(secret) if isinstance(secret, str) and secret.isascii() else None
    usable = client.usable_secrets(context.provenance.occurred_at)
    if presented is None or not any(
        service.peppers.matches(presented, pepper_id=kept.pepper_id, verifier=kept.verifier)
        for kept in usable
    ):
        raise InvalidRequest("client_secret is not that of the client")


def _redirects_of(client: Client) -> tuple[str, ...]:
    return (*client.redirects.redirect_uris, *client.redirects.post_logout_redirect_uris)
