"""Every end in the directory wins against a holder that writes on the same stream in a loop."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from application.administration import clients, initial_access, issuers, principals
from application.authorization.consenting import withdraw_consent
from application.ledger.errors import EndAnnounced
from application.registration import managing
from domain.client import Client
from domain.consents import Consents
from domain.initial_access import InitialAccess
from domain.principal import Principal
from domain.trusted_issuer import IssuerTerms, TrustedIssuer
from tests.application.registration.scene import RegisteringService
from tests.application.service import context
from tests.builders import AT_NOON, CATALOGUE, a_client, a_principal, later

TERMS = IssuerTerms(issuer="https://other.example", scopes=("mcp",))
Service = RegisteringService


@dataclass(frozen=True)
class End:
    """A stream, what its holder does to it, the end, and how it shows."""

    stream: UUID
    use: Callable[[Any, int], None]
    act: Callable[[], Awaitable[object]]
    ended: Callable[[Any], bool]


def _renamed(client: Client, number: int) -> None:
    client.rename(f"name {number}", provenance=AT_NOON)


async def _client(service: Service, act: Callable[[], Awaitable[object]], ended: Any) -> End:
    service.log.record(a_client())
    return End(Client.stream("reporter"), _renamed, act, ended)


async def disabling(service: Service) -> End:
    """Return the disabling of a client."""
    off = clients.Changes(enabled=False)
    return await _client(
        service,
        lambda: clients.change("reporter", off, service=service, provenance=later(1)),
        lambda client: not client.enabled,
    )


async def retirement(service: Service) -> End:
    """Return the end of a client's secrets, after a leak."""
    rotate = clients.rotate_secret
    return await _client(
        service,
        lambda: rotate("reporter", overlap=timedelta(), service=service, provenance=later(1)),
        lambda client: len(client.usable_secrets(later(1).occurred_at)) == 1,
    )


async def deletion(service: Service) -> End:
    """Return the deletion of a client by itself (RFC 7592)."""
    registered = await service.register()
    client_id = registered.client.client_id
    return End(
        Client.stream(client_id),
        _renamed,
        lambda: managing.delete(client_id, registered.token, context(), service),
        lambda client: not client.enabled,
    )


async def deactivation(service: Service) -> End:
    """Return the deactivation of a person."""
    service.log.record(a_principal("alice"))
    off = principals.set_active
    return End(
        Principal.stream("alice"),
        lambda alice, _: alice.password_set(AT_NOON),
        lambda: off("alice", active=False, service=service, provenance=later(1)),
        lambda alice: not alice.active,
    )


async def removal(service: Service) -> End:
    """Return the removal of a trusted issuer."""
    service.log.record(TrustedIssuer.add(TERMS, catalogue=CATALOGUE, provenance=AT_NOON))

    def narrowed(issuer: TrustedIssuer, number: int) -> None:
        audience = (f"https://{number}.example",)
        terms = TERMS.model_copy(update={"audience": audience})
        issuer.replace_terms(terms, catalogue=CATALOGUE, provenance=AT_NOON)

    return End(
        TrustedIssuer.stream(TERMS.issuer),
        narrowed,
        lambda: issuers.remove(TERMS.issuer, service=service, provenance=later(1)),
        lambda issuer: not issuer.trusted,
    )


async def revocation(service: Service) -> End:
    """Return the revocation of an initial access token."""
    access_id, _ = await service.token(max_uses=99)
    return End(
        InitialAccess.stream(access_id),
        lambda access, number: access.use(f"client-{number}", AT_NOON),
        lambda: initial_access.revoke(access_id, service=service, provenance=later(1)),
        lambda access: access.revoked,
    )


async def withdrawal(service: Service) -> End:
    """Return the withdrawal of a consent."""
    consents = Consents.open("alice", provenance=AT_NOON)
    consents.give("shop", ("mcp",), session_id="sess_1", provenance=AT_NOON)
    service.log.record(consents)

    def given(consents: Consents, number: int) -> None:
        name = f"client-{number}"
        consents.give(name, ("mcp",), session_id="sess_1", provenance=AT_NOON)

    return End(
        Consents.stream("alice"),
        given,
        lambda: withdraw_consent("shop", "alice", service=service, provenance=later(1)),
        lambda consents: not consents.covers("shop", ("mcp",)),
    )


ENDS = (disabling, retirement, deletion, deactivation, removal, revocation, withdrawal)


@pytest.mark.parametrize("prepared", ENDS)
async def test_an_end_wins(prepared: Callable[[Service], Awaitable[End]]) -> None:
    """A holder that writes before each try is first once; then its writes are refused until the end
    is recorded, and nothing stays announced.
    """
    service = RegisteringService()
    end = await prepared(service)
    written = 0

    def write() -> None:
        nonlocal written
        service.log.meanwhile = write
        held = service.log.folded(end.stream)
        end.use(held, written)
        with suppress(EndAnnounced):
            service.log.record(held)
            written += 1

    service.log.meanwhile = write
    await end.act()
    service.log.meanwhile = None

    assert written == 1
    assert end.ended(service.log.folded(end.stream))
    assert service.log.announced == {}
