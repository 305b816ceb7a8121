"""The first run: an owner and two clients, recorded together and once."""

import pytest

from application.administration.bootstrap import (
    ADMINISTRATION_CLIENT,
    ADMINISTRATION_SCOPES,
    DEMO_CLIENT,
    OWNER,
    FirstSecrets,
    bootstrap,
)
from application.client_authentication import PresentedCredentials, authenticate
from application.grants.client_credentials import Parameters, handle
from application.ledger.errors import LedgerUnavailable
from application.secret_keys import PresentedSecret
from domain.permissions import Catalogue, Permission, Tier
from tests.application.fakes import Fault
from tests.application.service import FakeService, context
from tests.builders import AT_NOON, NOON, a_client


async def run(service: FakeService, first: FirstSecrets) -> bool:
    """Do the first run."""
    return await bootstrap(first, service=service, provenance=AT_NOON)


async def scope_of(service: FakeService, client_id: str, secret: str) -> str:
    """Return the scope of a token that the client gets with its secret."""
    presented = PresentedCredentials(client_id, PresentedSecret(secret), "client_secret_basic")
    caller = authenticate(presented, directory=service.directory, peppers=service.peppers, now=NOON)
    return (await handle(Parameters(None, ()), caller, context(), service)).scope


async def test_the_first_clients_work(service: FakeService) -> None:
    """Both clients get a token with their secrets: the demo client everything but administration
    and hooks, on its owner's authority; the administration client what it is for.
    """
    first = FirstSecrets.fresh()

    assert await run(service, first)
    assert await scope_of(service, DEMO_CLIENT, first.demo) == "user service a2a mcp"
    assert (await scope_of(service, ADMINISTRATION_CLIENT, first.administration)).split() == list(
        ADMINISTRATION_SCOPES
    )


async def test_is_one_unit(service: FakeService) -> None:
    """Owner and clients are recorded together: a crash leaves all of them or none."""
    await run(service, FirstSecrets.fresh())
    (unit,) = service.log.units

    owner = service.directory.principal(OWNER)
    assert len(unit) == 5
    assert owner is not None
    assert owner.roles == ("admin", "user")


async def test_a_second_run_changes_nothing(service: FakeService) -> None:
    """Where the clients are there already it says so, and their secrets stay what they were."""
    first = FirstSecrets.fresh()
    await run(service, first)

    again = await run(service, FirstSecrets.fresh())

    assert again is False
    assert len(service.log.units) == 1
    assert await scope_of(service, DEMO_CLIENT, first.demo)


async def test_one_taken_name_is_enough(service: FakeService) -> None:
    """Where only one of the names is taken nothing is recorded beside it."""
    service.log.record(a_client(client_id=ADMINISTRATION_CLIENT))

    assert not await run(service, FirstSecrets.fresh())
    assert len(service.log.units) == 1


async def test_fits_another_catalogue(service: FakeService) -> None:
    """A deployment with scopes of its own starts as well: the demo client gets those that need
    neither an owner nor an audience.
    """
    service.catalogue = Catalogue(
        permissions=(
            Permission(name="boss", level=9, tier=Tier.USER),
            Permission(name="work", level=5, tier=Tier.SERVICE),
            Permission(name="hook", level=4, tier=Tier.SERVICE, required_audience="hook"),
            Permission(name="audit:read", level=1, tier=Tier.SERVICE),
        ),
        roles={"chief": ("boss",)},
    )
    await run(service, FirstSecrets.fresh())

    owner = service.directory.principal(OWNER)
    demo = service.directory.client(DEMO_CLIENT)
    administration = service.directory.client(ADMINISTRATION_CLIENT)
    assert owner is not None
    assert demo is not None
    assert administration is not None
    assert owner.roles == ("chief",)
    assert demo.scopes == ("work",)
    assert administration.scopes == ("audit:read",)


async def test_says_when_it_does_not_know(service: FakeService) -> None:
    """Where the log does not answer it is not "somebody was faster": the next start must try
    again.
    """
    service.log.save_faults.append(Fault.LOST)
    with pytest.raises(LedgerUnavailable):
        await run(service, FirstSecrets.fresh())


def test_secrets_are_fresh_and_hidden() -> None:
    """No two secrets are alike, and none shows in a log line."""
    first, second = FirstSecrets.fresh(), FirstSecrets.fresh()

    assert len({first.demo, first.administration, second.demo, second.administration}) == 4
    assert repr(first) == "FirstSecrets()"
