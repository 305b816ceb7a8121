"""Introspection (RFC 7662): who may ask, what is active, and how little the others are told."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import jwt
import pytest

from application.errors import UnauthorizedClient
from application.grants.client_credentials import Parameters, handle
from application.introspection import introspect
from application.ledger.errors import LedgerUnavailable
from domain.access_token import AccessToken
from domain.client import Client
from domain.client_configuration import Audiences, ClientType
from domain.principal import Principal
from tests.application.fakes import MemoryDirectory
from tests.application.service import FakeService, authenticated, context
from tests.builders import AT_NOON, a_client, a_principal, a_request, later

API = "https://api.example"
RESOURCE_SERVER = {"client_id": "api", "audiences": Audiences(serves=("https://x.example", API))}
NAMESAKE = {"client_id": "named"}
STRANGER = {"client_id": "stranger", "audiences": Audiences(allowed=(API,))}


def set_up(service: FakeService) -> Client:
    """Record the owner and the client "reporter"; return the client."""
    client = a_client(owner="owner-1", audiences=Audiences(allowed=(API, "named", "other")))
    service.log.record(a_principal(), client)
    return client


async def a_token(service: FakeService, *audience: str) -> str:
    """Return a token that "reporter" was issued at noon for the API, unless for `audience`."""
    client = set_up(service)
    parameters = Parameters(None, audience or (API,))
    return (await handle(parameters, authenticated(client), context(), service)).access_token


def change(service: FakeService, stream: Any, decision: Callable[[Any], object]) -> None:
    """Record a decision about something that is recorded."""
    aggregate = service.log.folded(stream)
    decision(aggregate)
    service.log.record(aggregate)


@pytest.mark.parametrize(
    ("asking", "audience"),
    [
        pytest.param({}, (API,), id="the token's own client"),
        pytest.param(RESOURCE_SERVER, (API,), id="a resource server of its audience"),
        pytest.param(RESOURCE_SERVER, ("other", API), id="a resource server of one audience"),
        pytest.param(NAMESAKE, ("named",), id="a client that is itself the audience"),
    ],
)
async def test_tells_those_who_may_know(
    service: FakeService, asking: dict[str, Any], audience: tuple[str, ...]
) -> None:
    """Who may see an active token gets its claims and nothing else about it."""
    token = await a_token(service, *audience)
    claims = jwt.decode(token, options={"verify_signature": False})

    answer = await introspect(token, authenticated(a_client(**asking)), service)

    assert answer == {"active": True, "token_type": "Bearer", **claims}


@dataclass(frozen=True)
class Inactive:
    """A token that is not active, or not for the caller to know."""

    description: str
    setup: Callable[[FakeService], object] = lambda _: None
    asking: dict[str, Any] = field(default_factory=lambda: RESOURCE_SERVER)
    spoil: Callable[[str], str] = lambda token: token
    reads_log: bool = False


def _revoke(service: FakeService) -> None:
    (issued,) = service.log.of(AccessToken.Issued)
    change(
        service,
        issued.originator_id,
        lambda token: token.revoke(by="reporter", reason="test", provenance=later(1)),
    )


def _with_client(decision: Callable[[Client], object]) -> Callable[[FakeService], object]:
    return lambda service: change(service, Client.stream("reporter"), decision)


def _deactivate_owner(service: FakeService) -> None:
    change(service, Principal.stream("owner-1"), lambda owner: owner.deactivate(AT_NOON))


INACTIVE = (
    Inactive("2 no token at all", spoil=lambda _: "token"),
    Inactive("2 changed signature", spoil=lambda token: token.rpartition(".")[0] + ".AAAA"),
    Inactive("2 expired", lambda service: service.clock.advance(hours=1)),
    Inactive("2 expired, asked by its client", lambda s: s.clock.advance(hours=1), asking={}),
    Inactive("3 not of the caller's audience", asking=STRANGER),
    Inactive("4 revoked", _revoke, reads_log=True),
    Inactive("4 revoked, asked by its client", _revoke, asking={}, reads_log=True),
    Inactive(
        "5 disabled client", _with_client(lambda client: client.disable(AT_NOON)), reads_log=True
    ),
    Inactive("5 deactivated owner", _deactivate_owner, reads_log=True),
    Inactive(
        "5 client given to an unknown owner",
        _with_client(lambda client: client.set_owner("nobody", provenance=AT_NOON)),
        reads_log=True,
    ),
)


@pytest.mark.parametrize("case", INACTIVE, ids=lambda case: case.description)
async def test_tells_nothing_about_an_inactive_token(service: FakeService, case: Inactive) -> None:
    """Whatever is wrong, the answer is `{"active": false}` and not a member more; the log is read
    for nobody who may not know.
    """
    token = await a_token(service)
    case.setup(service)

    answer = await introspect(case.spoil(token), authenticated(a_client(**case.asking)), service)

    assert answer == {"active": False}
    assert service.log.loads == case.reads_log


async def test_a_token_that_was_never_recorded_is_inactive(service: FakeService) -> None:
    """A good signature does not stand in for the record: what was signed and not recorded is
    inactive.
    """
    signed_only = set_up(service).issue_token(
        a_request(),
        grant_type="client_credentials",
        owner=a_principal(),
        policy=service.policy,
        signing=service.minter.choose(None),
        provenance=AT_NOON,
    )

    token = service.minter.mint(signed_only)
    answer = await introspect(token, authenticated(a_client()), service)

    assert service.verifier.verify(token).token_id == str(signed_only.id)
    assert answer == {"active": False}


async def test_a_token_of_an_unknown_client_is_inactive(service: FakeService) -> None:
    """A token whose client the directory does not know is inactive, though it is recorded."""
    await handle(Parameters(None, (API,)), authenticated(a_client()), context(), service)
    (issued,) = service.log.of(AccessToken.Issued)
    token = service.minter.mint(service.log.folded(issued.originator_id))

    assert await introspect(token, authenticated(a_client()), service) == {"active": False}


class DirectoryBehind(MemoryDirectory):
    """Knows no client until it is refreshed: a replica on which another one was registered."""

    behind = True

    def client(self, client_id: str) -> Client | None:
        return None if self.behind else super().client(client_id)

    async def refresh(self) -> None:
        self.behind = False


async def test_a_client_that_another_replica_registered_is_looked_for(service: FakeService) -> None:
    """The token is proof of its client; whoever has not read of it yet reads, and says no wrong."""
    token = await a_token(service)
    service.directory = DirectoryBehind(service.log)

    answer = await introspect(token, authenticated(a_client(**RESOURCE_SERVER)), service)

    assert answer["active"] is True


async def test_is_active_to_the_last_moment(service: FakeService) -> None:
    """The moment before it expires, a token is active."""
    token = await a_token(service)
    service.clock.moment += timedelta(hours=1) - timedelta(microseconds=1)

    answer = await introspect(token, authenticated(a_client()), service)

    assert answer["active"] is True


async def test_a_public_client_may_not_ask(service: FakeService) -> None:
    """A caller that cannot prove who it is gets an error, even about its own token."""
    token = await a_token(service)
    caller = authenticated(a_client(client_type=ClientType.PUBLIC, grant_types=()))
    with pytest.raises(UnauthorizedClient) as refusal:
        await introspect(token, caller, service)

    assert refusal.value.description == "this endpoint needs a confidential client"
    assert service.log.loads == 0


async def test_says_nothing_without_the_log(service: FakeService) -> None:
    """Where the log cannot be read nobody can know about revocations: there is no answer."""
    token = await a_token(service)
    service.log.load_faults.append(True)
    with pytest.raises(LedgerUnavailable):
        await introspect(token, authenticated(a_client()), service)
