"""For whom a token was granted, and what it may do while roles come and go."""

from typing import Any
from uuid import UUID

import pytest

from application.errors import InvalidScope
from application.grants import token_exchange
from application.grants.token_exchange import Parameters
from application.introspection import introspect
from application.present_authority import RecordedGrant
from application.subject_tokens import ACCESS_TOKEN_TYPE
from domain.access_token import AccessToken
from domain.client import Client
from domain.client_configuration import TOKEN_EXCHANGE, Audiences, Redirects
from domain.issuing_client import Authority
from domain.principal import Principal
from tests.application.service import FakeService, authenticated, context
from tests.builders import (
    AT_NOON,
    CATALOGUE,
    NOON,
    POLICY,
    a_client,
    a_principal,
    a_request,
    later,
    stream_id,
)

API = "https://api.example"
SCOPES = ("clients:manage", "mcp", "user")

EXCHANGED: dict[UUID, str] = {}


def a_desk(service: FakeService, client_id: str = "desk", **configuration: Any) -> Client:
    """Record a client that carries a management scope."""
    facts: dict[str, Any] = {
        "client_id": client_id,
        "grant_types": ("authorization_code", "client_credentials", TOKEN_EXCHANGE),
        "scopes": SCOPES,
        "audiences": Audiences(allowed=(API, "agent")),
        "redirects": Redirects(redirect_uris=("https://client.example/callback",)),
        **configuration,
    }
    client = a_client(**facts)
    service.log.record(client)
    return client


def of_person(service: FakeService, desk: Client) -> AccessToken:
    """Record a token of alice, who holds the role when it is issued."""
    alice = a_principal("alice", roles=("clients:manage", "user"))
    token = desk.issue_token_for_person(
        a_request(token_id=stream_id(NOON)),
        Authority(SCOPES, SCOPES, ("agent",), NOON),
        grant_type="authorization_code",
        person=alice,
        family_id=None,
        policy=POLICY,
        signing=service.keys.choose(None),
        provenance=AT_NOON,
    )
    service.log.record(alice, token)
    return token


def of_machine(service: FakeService, machine: Client) -> AccessToken:
    """Record a token that a client of alice got for itself."""
    token = machine.issue_token(
        a_request(token_id=stream_id(NOON), scope=("clients:manage", "mcp"), audience=("agent",)),
        grant_type="client_credentials",
        owner=service.directory.principal("alice"),
        policy=POLICY,
        signing=service.keys.choose(None),
        provenance=AT_NOON,
    )
    service.log.record(token)
    return token


def take_role(service: FakeService, *left: str) -> None:
    """Leave alice with these roles."""
    alice = service.log.folded(Principal.stream("alice"))
    alice.assign_roles(left, catalogue=CATALOGUE, provenance=later(1))
    service.log.record(alice)


async def exchange(
    service: FakeService, agent: Client, token: AccessToken, *scope: str, audience: str = "agent"
) -> AccessToken:
    """Exchange `token`, and return the record of the new one."""
    asked = Parameters(
        spoken(service, token), ACCESS_TOKEN_TYPE, None, None, None, scope or None, (audience,)
    )
    answer = await token_exchange.handle(asked, authenticated(agent), context(), service)
    token = service.log.all_of(AccessToken)[-1]
    EXCHANGED[token.id] = answer.access_token
    return token


def spoken(service: FakeService, token: AccessToken) -> str:
    """Return the JWT, of an exchange as it was given: a record does not make it again."""
    return EXCHANGED.get(token.id) or service.keys.mint(token)


async def test_the_record_tells_for_whom(service: FakeService) -> None:
    """Not `sub`: an owned machine's token, and what is exchanged for it, names the owner too."""
    desk, agent = a_desk(service), a_desk(service, "agent")
    person = of_person(service, desk)
    machine = of_machine(service, a_desk(service, "machine", owner="alice"))
    by_person, by_machine = [await exchange(service, agent, one) for one in (person, machine)]
    again = await exchange(service, agent, by_machine)
    tokens = (person, by_person, machine, by_machine, again)

    assert {one.issued.subject for one in tokens} == {"alice"}
    assert [await service.authority.grant_of(str(one.id)) for one in tokens] == [
        RecordedGrant(own=False, person="alice"),
        RecordedGrant(own=False, person="alice"),
        RecordedGrant(own=True, person=None),
        RecordedGrant(own=False, person=None),
        RecordedGrant(own=False, person=None),
    ]
    assert await service.authority.grant_of(str(stream_id(NOON))) is None


async def test_a_role_counts_as_of_now(service: FakeService) -> None:
    """Each token of a person loses the management scopes with the role, and a machine's keeps them:
    at use, in introspection, and when it is exchanged.
    """
    desk, agent = a_desk(service), a_desk(service, "agent")
    person = of_person(service, desk)
    machine = of_machine(service, a_desk(service, "machine", owner="alice"))
    by_person, by_machine = [await exchange(service, agent, one) for one in (person, machine)]
    tokens = (person, by_person, machine, by_machine)

    async def lacking() -> list[list[str]]:
        found = []
        for one in tokens:
            grant = await service.authority.grant_of(str(one.id))
            assert grant is not None
            found.append(await service.authority.lacking(grant, ("clients:manage",)))
        return found

    async def told() -> list[str]:
        caller = authenticated(agent)
        answers = [await introspect(spoken(service, one), caller, service) for one in tokens]
        return [answer["scope"] for answer in answers]

    assert await lacking() == [[], [], [], []]
    assert await told() == [
        "user mcp clients:manage",
        "user mcp clients:manage",
        "mcp clients:manage",
        "mcp clients:manage",
    ]
    take_role(service, "user", "admin")
    assert await lacking() == [["clients:manage"], ["clients:manage"], [], []]
    assert await told() == ["user mcp", "user mcp", "mcp clients:manage", "mcp clients:manage"]
    assert (await exchange(service, agent, by_machine)).issued.scope == ("mcp", "clients:manage")
    assert (await exchange(service, agent, by_person)).issued.scope == ("user", "mcp")
    with pytest.raises(InvalidScope, match="not held by the person"):
        await exchange(service, agent, by_person, "clients:manage")


async def test_a_person_that_is_gone_holds_nothing(service: FakeService) -> None:
    """Deactivated, or not known: no role counts."""
    token = of_person(service, a_desk(service))
    grant = await service.authority.grant_of(str(token.id))
    assert grant is not None
    alice = service.log.folded(Principal.stream("alice"))
    alice.deactivate(later(1))
    service.log.record(alice)
    unknown = RecordedGrant(own=False, person="nobody")

    assert await service.authority.lacking(grant, ("clients:manage",)) == ["clients:manage"]
    assert await service.authority.lacking(unknown, ("clients:manage",)) == ["clients:manage"]
    assert not service.authority.holds(grant, "audit:read")


async def test_what_is_held_by_no_role_is_not_asked_for(service: FakeService) -> None:
    """Service tier is the client's; a name that left the catalogue is nobody's."""
    grant = RecordedGrant(own=False, person="nobody")

    assert await service.authority.lacking(grant, ("mcp", "openid")) == []
    assert await service.authority.lacking(grant, ("gone", "mcp")) == ["gone"]
