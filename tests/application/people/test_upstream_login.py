"""Which principal an upstream identity is: a linked one, a new one where allowed, or nobody."""

from dataclasses import dataclass, field

import pytest

from application.account import link_identity
from application.errors import ConflictingState, InvalidRequest, NotFound
from application.people.credentials import Credentials
from application.people.passwords import Passwords
from application.people.upstream import UpstreamLogin, UpstreamRefused
from application.people.upstream_login import principal_of
from application.settings import Settings, load_settings
from application.turns import Turns
from domain.permissions import Catalogue
from domain.principal import Principal
from tests.application.fakes import MemoryDirectory, MemoryLog
from tests.builders import AT_NOON, a_principal, later

ISSUER = "https://id.example"
PROOF = UpstreamLogin(ISSUER, "248289761001", None, "request")


@dataclass
class Parts:
    """What the use cases work with."""

    credentials: Credentials
    passwords: Passwords
    log: MemoryLog
    directory: MemoryDirectory
    settings: Settings
    catalogue: Catalogue
    turns: Turns = field(default_factory=Turns)


@pytest.fixture
def parts(credentials: Credentials, passwords: Passwords) -> Parts:
    """Real tables for credentials, a log in memory with the principal alice."""
    log = MemoryLog()
    log.record(a_principal("alice"))
    return Parts(credentials, passwords, log, MemoryDirectory(log), load_settings(), Catalogue())


async def test_an_unknown_identity_is_refused(parts: Parts) -> None:
    """Whoever the provider knows is not yet somebody here."""
    with pytest.raises(UpstreamRefused, match="unknown here"):
        await principal_of(PROOF, service=parts, provenance=AT_NOON)


async def test_a_linked_identity_is_its_principal(parts: Parts) -> None:
    """Once linked it logs its principal in, until that is deactivated; the fact is recorded."""
    await link_identity("alice", PROOF.subject, issuer=ISSUER, service=parts, provenance=AT_NOON)

    assert await principal_of(PROOF, service=parts, provenance=AT_NOON) == "alice"
    assert await parts.credentials.logins_of("alice") == []
    assert [event.issuer for event in parts.log.of(Principal.IdentityLinked)] == [ISSUER]
    person = parts.log.folded(Principal.stream("alice"))
    person.deactivate(later(1))
    parts.log.record(person)
    with pytest.raises(UpstreamRefused, match="deactivated"):
        await principal_of(PROOF, service=parts, provenance=AT_NOON)


async def test_linking_that_is_refused(parts: Parts) -> None:
    """Not without a provider, not to nobody, and not from one person to another."""
    parts.log.record(a_principal("bob"))
    await link_identity("alice", PROOF.subject, issuer=ISSUER, service=parts, provenance=AT_NOON)
    for subject, issuer, error in (
        ("alice", "", InvalidRequest),
        ("nobody", ISSUER, NotFound),
        ("bob", ISSUER, ConflictingState),
    ):
        with pytest.raises(error):
            await link_identity(
                subject, PROOF.subject, issuer=issuer, service=parts, provenance=AT_NOON
            )

    assert len(parts.log.of(Principal.IdentityLinked)) == 1


async def test_a_first_login_registers(parts: Parts) -> None:
    """Where settings say so, an unknown identity becomes a principal, the same one every time."""
    parts.settings = load_settings(upstream_create=True)
    first = await principal_of(PROOF, service=parts, provenance=AT_NOON)
    again = await principal_of(PROOF, service=parts, provenance=AT_NOON)
    person = parts.directory.principal(first)

    assert first == again
    assert person is not None
    assert person.roles == ("user",)
