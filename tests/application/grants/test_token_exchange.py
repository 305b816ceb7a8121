"""token-exchange (RFC 8693): what it passes on, who acts, and every refusal."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
from msgspec.structs import replace

from application.ending import ended_tokens
from application.errors import (
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    OAuthError,
    UnauthorizedClient,
    UnusableToken,
)
from application.grants import client_credentials, token_exchange
from application.grants.token_exchange import Parameters
from application.introspection import introspect
from application.revocation import revoke
from application.subject_tokens import ACCESS_TOKEN_TYPE, JWT_TYPE
from domain.access_token import AccessToken
from domain.client import Client
from domain.client_configuration import TOKEN_EXCHANGE, Audiences, ClientType
from domain.descent import Actor
from domain.principal import Principal
from tests.application.service import FakeService, authenticated, context
from tests.builders import AT_NOON, NOON, a_client, a_principal

API = "https://api.example"
GRANTS = ("client_credentials", TOKEN_EXCHANGE)


def an_agent(service: FakeService, client_id: str, **configuration: Any) -> Client:
    """Record and return a client that may exchange tokens meant for it."""
    facts = {
        "client_id": client_id,
        "grant_types": GRANTS,
        "audiences": Audiences(
            allowed=(API, "agent-1", "agent-2", "agent-3", "agent-4", "agent-5", "agent-6")
        ),
        **configuration,
    }
    client = a_client(**facts)
    service.log.record(client)
    return client


async def a_subject_token(service: FakeService, *audience: str, **configuration: Any) -> str:
    """Return a token of "reporter", owned by owner-1, of noon."""
    if service.directory.principal("owner-1") is None:
        service.log.record(a_principal())
    client = an_agent(service, "reporter", owner="owner-1", **configuration)
    asked = client_credentials.Parameters(None, audience or ("agent-1",))
    given = await client_credentials.handle(asked, authenticated(client), context(), service)
    return given.access_token


async def exchange(service: FakeService, client: Client, token: str, **changes: Any) -> str:
    """Return the access token that `client` gets for the subject token `token`."""
    given = await token_exchange.handle(
        asking(token, **changes), authenticated(client), context(), service
    )
    return given.access_token


def asking(token: str, **changes: Any) -> Parameters:
    """Return a request."""
    plain = Parameters(token, ACCESS_TOKEN_TYPE, None, None, None, None, (API,))
    return replace(plain, **changes)


def claims(token: str) -> dict[str, Any]:
    """Return what a token says."""
    return jwt.decode(token, options={"verify_signature": False})


async def test_the_client_acts_for_the_subject(service: FakeService) -> None:
    """`sub`, `sid` and the end stay, `act` is the client, and the record has the lineage."""
    subject_token = await a_subject_token(service)
    agent = an_agent(service, "agent-1", scopes=("service", "user"))
    new, old = claims(await exchange(service, agent, subject_token)), claims(subject_token)
    record = service.log.of(AccessToken.Issued)[-1]

    assert (new["sub"], new["sid"], new["exp"]) == (old["sub"], old["sid"], old["exp"])
    assert (new["client_id"], new["act"], new["aud"]) == ("agent-1", {"sub": "agent-1"}, API)
    assert new["scope"] == "user service"
    assert isinstance(record, AccessToken.Issued)
    assert record.descent is not None
    assert record.descent.lineage == (old["jti"],)
    assert (record.descent.actors, record.withheld_by_client) == ((Actor("agent-1"),), ("mcp",))


async def test_actors_nest_five_deep_and_no_deeper(service: FakeService) -> None:
    """The newest is outermost; the sixth is refused."""
    token = await a_subject_token(service)
    for number in range(1, 6):
        agent = an_agent(service, f"agent-{number}")
        token = await exchange(service, agent, token, audience=(f"agent-{number + 1}",))
    act, seen = claims(token)["act"], []
    while act:
        seen.append(act["sub"])
        act = act.get("act")
    sixth = an_agent(service, "agent-6")

    assert seen == [f"agent-{number}" for number in (5, 4, 3, 2, 1)]
    with pytest.raises(InvalidRequest, match="more than 5 would act"):
        await exchange(service, sixth, token)


async def test_an_actor_token_names_the_actor(service: FakeService) -> None:
    """With an actor token its subject acts, and the new token ends no later than it."""
    subject_token = await a_subject_token(service)
    agent = an_agent(service, "agent-1")
    own = client_credentials.Parameters(None, ("agent-1",))
    actor = await client_credentials.handle(own, authenticated(agent), context(), service)
    new = await exchange(
        service,
        agent,
        subject_token,
        actor_token=actor.access_token,
        actor_token_type=JWT_TYPE,
        requested_token_type=JWT_TYPE,
    )

    assert claims(new)["act"] == {"sub": "agent-1"}


async def test_spliced_lineages_are_refused(service: FakeService) -> None:
    """An actor token out of another delegation does not continue this one."""
    first = await a_subject_token(service)
    agent = an_agent(service, "agent-1")
    other = an_agent(service, "other")
    own = client_credentials.Parameters(None, ("agent-1",))
    foreign = await client_credentials.handle(own, authenticated(other), context(), service)
    delegated = await exchange(service, agent, foreign.access_token, audience=("agent-1",))

    with pytest.raises(InvalidRequest, match="different lineages"):
        await exchange(
            service, agent, first, actor_token=delegated, actor_token_type=ACCESS_TOKEN_TYPE
        )


def _revoked(token: AccessToken) -> None:
    token.revoke(by="reporter", reason="lost", provenance=AT_NOON)


BREAKS: dict[str, tuple[str, Callable[[Any], object]]] = {
    "token revoked": ("token", _revoked),
    "its client disabled": ("client", lambda client: client.disable(provenance=AT_NOON)),
    "its person deactivated": ("person", lambda person: person.deactivate(AT_NOON)),
}


@pytest.mark.parametrize("name", BREAKS)
async def test_a_subject_token_must_be_live(service: FakeService, name: str) -> None:
    """Whatever behind it ended, the answer is the one text."""
    subject_token = await a_subject_token(service)
    agent = an_agent(service, "agent-1")
    what, decision = BREAKS[name]
    stream = {
        "token": service.log.of(AccessToken.Issued)[-1].originator_id,
        "client": Client.stream("reporter"),
        "person": Principal.stream("owner-1"),
    }[what]
    aggregate = service.log.folded(stream)
    decision(aggregate)
    service.log.record(aggregate)

    with pytest.raises(UnusableToken):
        await exchange(service, agent, subject_token)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"subject_token": "x"}, UnusableToken, id="no JWT"),
        pytest.param({"subject_token_type": "urn:x"}, InvalidRequest, id="unknown type"),
        pytest.param({"actor_token": "x"}, InvalidRequest, id="actor token without type"),
        pytest.param({"actor_token_type": JWT_TYPE}, InvalidRequest, id="type without actor token"),
        pytest.param(
            {"actor_token": "x", "actor_token_type": "urn:x"}, InvalidRequest, id="actor type"
        ),
        pytest.param(
            {"actor_token": "x", "actor_token_type": JWT_TYPE}, UnusableToken, id="actor no JWT"
        ),
        pytest.param({"requested_token_type": "urn:x"}, InvalidRequest, id="requested type"),
        pytest.param({"scope": ("admin",)}, InvalidScope, id="scope the subject token lacks"),
        pytest.param({"scope": ("a2a",)}, InvalidScope, id="scope nobody has"),
        pytest.param({"scope": ("nonsense",)}, InvalidScope, id="unknown scope"),
        pytest.param({"audience": ("https://evil.example",)}, InvalidTarget, id="target"),
    ],
)
async def test_requests_that_are_refused(
    service: FakeService, changes: dict[str, Any], error: type[OAuthError]
) -> None:
    """Each broken rule has its error, and nothing is recorded."""
    subject_token = await a_subject_token(service)
    agent = an_agent(service, "agent-1")
    before = len(service.log.of(AccessToken.Issued))

    with pytest.raises(error):
        await exchange(service, agent, subject_token, **changes)
    assert len(service.log.of(AccessToken.Issued)) == before


async def test_who_calls_here_does_not_act(service: FakeService) -> None:
    """A token that somebody sent to the client as a resource is no actor token of the client."""
    subject_token = await a_subject_token(service)
    agent = an_agent(service, "agent-1")
    caller = an_agent(service, "caller")
    sent = client_credentials.Parameters(None, ("agent-1",))
    callers = await client_credentials.handle(sent, authenticated(caller), context(), service)

    with pytest.raises(UnusableToken):
        await exchange(
            service,
            agent,
            subject_token,
            actor_token=callers.access_token,
            actor_token_type=ACCESS_TOKEN_TYPE,
        )


async def test_public_clients_are_refused(service: FakeService) -> None:
    """Nobody knows who it is that would act."""
    subject_token = await a_subject_token(service)
    public = an_agent(
        service, "agent-1", client_type=ClientType.PUBLIC, grant_types=(TOKEN_EXCHANGE,)
    )

    with pytest.raises(UnauthorizedClient):
        await exchange(service, public, subject_token)


async def test_whose_token_it_is(service: FakeService) -> None:
    """A client that is neither the token's own nor in its audience gets nothing for it."""
    subject_token = await a_subject_token(service)
    stranger = an_agent(service, "stranger")
    unregistered = an_agent(service, "agent-1", grant_types=("client_credentials",))

    with pytest.raises(UnusableToken):
        await exchange(service, stranger, subject_token)
    with pytest.raises(UnauthorizedClient):
        await exchange(service, unregistered, subject_token)


async def test_an_expired_token_is_refused(service: FakeService) -> None:
    """To the second of its `exp`."""
    subject_token = await a_subject_token(service)
    agent = an_agent(service, "agent-1")
    service.clock.moment = NOON + timedelta(hours=1)

    with pytest.raises(UnusableToken):
        await token_exchange.handle(
            asking(subject_token), authenticated(agent), context(NOON + timedelta(hours=1)), service
        )


@pytest.mark.parametrize(("descendants", "alive"), [(False, True), (True, False)])
async def test_revocation_reaches_descendants(
    service: FakeService, descendants: bool, alive: bool
) -> None:
    """Alone a token goes alone; with its descendants everything below it is void at once."""
    subject_token = await a_subject_token(service)
    one, two = an_agent(service, "agent-1"), an_agent(service, "agent-2")
    child = await exchange(service, one, subject_token, audience=("agent-2",))
    grandchild = await exchange(service, two, child)
    reporter = authenticated(service.log.folded(Client.stream("reporter")))
    await revoke(subject_token, reporter, context(), service, descendants=descendants)
    seen = [
        (await introspect(token, authenticated(client), service))["active"]
        for token, client in ((child, one), (grandchild, two))
    ]

    assert seen == [alive, alive]
    assert not (await introspect(subject_token, reporter, service))["active"]


@pytest.mark.parametrize(("setting", "alive"), [(True, False), (False, True)])
async def test_what_ends_a_grant_reaches_descendants_by_setting(
    service: FakeService, setting: bool, alive: bool
) -> None:
    """Ending a session or a family voids its own tokens always, what was exchanged by setting."""
    service.with_policy(end_descendants=setting)
    subject_token = await a_subject_token(service)
    agent = an_agent(service, "agent-1")
    child = await exchange(service, agent, subject_token)
    ended = await ended_tokens(
        [claims(subject_token)["jti"]], service, by="x", reason="test", provenance=AT_NOON
    )
    service.log.record(*ended)

    assert not (await introspect(subject_token, authenticated(agent), service))["active"]
    assert (await introspect(child, authenticated(agent), service))["active"] is alive


async def test_a_disabled_ancestor_ends_its_delegations(service: FakeService) -> None:
    """Whose client was disabled speaks for nobody, nor does what was exchanged from its tokens."""
    subject_token = await a_subject_token(service)
    agent = an_agent(service, "agent-1")
    child = await exchange(service, agent, subject_token)
    reporter = service.log.folded(Client.stream("reporter"))
    reporter.disable(AT_NOON)
    service.log.record(reporter)

    assert not (await introspect(child, authenticated(agent), service))["active"]
