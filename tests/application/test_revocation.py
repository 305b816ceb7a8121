"""Revocation (RFC 7009): a client voids its own tokens, once, and learns nothing about others."""

from collections.abc import Callable

import pytest

from application.errors import InvalidGrant
from application.grants.client_credentials import Parameters, handle
from application.introspection import introspect
from application.ledger.errors import LedgerUnavailable
from application.revocation import revoke
from domain.access_token import AccessToken
from domain.client_configuration import ClientType
from tests.application.fakes import Fault
from tests.application.service import FakeService, authenticated, context
from tests.builders import a_client, later

LATER = context(later(5).occurred_at)


async def a_token(service: FakeService) -> str:
    """Return a token that "reporter" was issued at noon."""
    client = a_client()
    service.log.record(client)
    response = await handle(Parameters(None, ()), authenticated(client), context(), service)
    return response.access_token


def void(service: FakeService) -> None:
    """Revoke the one token there is, as another process would."""
    (issued,) = service.log.of(AccessToken.Issued)
    token = service.log.folded(issued.originator_id)
    token.revoke(by="reporter", reason="elsewhere", provenance=LATER.provenance)
    service.log.record(token)


async def test_revokes_ones_own_token(service: FakeService) -> None:
    """A client's own token is recorded as revoked, by whom, when and why, and is inactive then."""
    token, caller = await a_token(service), authenticated(a_client())
    before = await introspect(token, caller, service)

    await revoke(token, caller, LATER, service)
    (issued,), (revoked,) = (service.log.of(e) for e in (AccessToken.Issued, AccessToken.Revoked))

    assert (before["active"], await introspect(token, caller, service)) == (
        True,
        {"active": False},
    )
    assert isinstance(revoked, AccessToken.Revoked)
    assert revoked.originator_id == issued.originator_id
    assert (revoked.by, revoked.reason) == ("reporter", "revoked by its client")
    assert (revoked.client_id, revoked.subject) == (issued.client_id, issued.subject)
    assert revoked.session_id == issued.session_id
    assert (revoked.timestamp, revoked.request_id) == (later(5).occurred_at, "req_7")


async def test_a_public_client_revokes_its_own(service: FakeService) -> None:
    """A client that cannot prove who it is may still void what it was issued."""
    token = await a_token(service)
    caller = authenticated(a_client(client_type=ClientType.PUBLIC, grant_types=()))

    await revoke(token, caller, LATER, service)

    assert len(service.log.of(AccessToken.Revoked)) == 1


async def test_refuses_another_clients_token(service: FakeService) -> None:
    """A token that was issued to another client stays as it is, and the log is not even read."""
    token = await a_token(service)
    with pytest.raises(InvalidGrant) as refusal:
        await revoke(token, authenticated(a_client(client_id="thief")), LATER, service)

    assert refusal.value.description == "the token was not issued to this client"
    assert service.log.of(AccessToken.Revoked) == []
    assert service.log.loads == 0


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda _: "unknown", id="no token at all"),
        pytest.param(lambda token: token[:-8], id="truncated"),
        pytest.param(lambda token: token.rpartition(".")[0] + ".AAAA", id="changed signature"),
    ],
)
async def test_answers_an_unknown_token_like_a_success(
    service: FakeService, spoil: Callable[[str], str]
) -> None:
    """RFC 7009, Section 2.2: an invalid token is no error; nothing is recorded."""
    token = await a_token(service)
    recorded = len(service.log.events)

    await revoke(spoil(token), authenticated(a_client()), LATER, service)

    assert len(service.log.events) == recorded


async def test_answers_an_unrecorded_token_like_a_success(service: FakeService) -> None:
    """A token that was signed and never recorded cannot be revoked, and that is no error."""
    token = await a_token(service)
    keys, service = service.keys, FakeService()
    service.keys = keys

    await revoke(token, authenticated(a_client()), LATER, service)

    assert service.log.loads == 1
    assert service.log.events == []


async def test_answers_an_expired_token_like_a_success(service: FakeService) -> None:
    """A token past its time is no error either, and the record keeps that it was given up."""
    token = await a_token(service)
    service.clock.advance(days=2)

    await revoke(token, authenticated(a_client()), context(service.clock.now()), service)

    assert len(service.log.of(AccessToken.Revoked)) == 1


async def test_revoking_twice_is_one_event(service: FakeService) -> None:
    """A second revocation succeeds and records nothing."""
    token = await a_token(service)
    for _ in range(2):
        await revoke(token, authenticated(a_client()), LATER, service)

    assert len(service.log.of(AccessToken.Revoked)) == 1


async def test_losing_the_race_is_a_success(service: FakeService) -> None:
    """Where somebody else revokes between our look and our record, the token is revoked once and
    the caller is told so.
    """
    token = await a_token(service)
    service.log.meanwhile = lambda: void(service)

    await revoke(token, authenticated(a_client()), LATER, service)
    (revoked,) = service.log.of(AccessToken.Revoked)

    assert revoked.reason == "elsewhere"


@pytest.mark.parametrize("unreadable", [False, True])
async def test_claims_no_success_without_the_log(service: FakeService, unreadable: bool) -> None:
    """Where the log does not answer, reading or writing, the caller must know that it has to try
    again.
    """
    token = await a_token(service)
    service.log.load_faults.append(unreadable)
    service.log.save_faults.append(Fault.LOST)
    with pytest.raises(LedgerUnavailable):
        await revoke(token, authenticated(a_client()), LATER, service)

    assert service.log.of(AccessToken.Revoked) == []
