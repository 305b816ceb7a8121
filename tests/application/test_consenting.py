"""Consents that are given and taken back at once, and the end of what was held on them."""

import asyncio
from uuid import UUID

import pytest

from application.authorization.consenting import end_families, give_consent, withdraw_consent
from application.errors import TemporarilyUnavailable
from application.ledger.errors import Conflict
from application.standing_consent import Agreed
from domain.consents import Consents
from domain.recorded import Recorded
from domain.refresh_token_family import FamilyTerms, IssuedToken, RefreshTokenFamily
from domain.session import Session
from tests.application.fakes import InterleavingLog, MemoryLog
from tests.application.service import ORIGIN, FakeService
from tests.builders import AT_NOON, NOON, later, stream_id

API, CALLBACK = "https://api.example", "https://shop.example/callback"


async def test_consents_take_turns() -> None:
    """In one process nobody loses a race: each is recorded at the first try."""
    log = InterleavingLog()
    service = FakeService(log=log)
    session = Session.start(
        service.ids.stream_id(NOON),
        subject="alice",
        methods=("pwd",),
        lifetime=service.session_lifetime,
        origin=ORIGIN,
        provenance=AT_NOON,
    )
    clients = [f"client-{number}" for number in range(20)]
    await asyncio.gather(
        *(
            give_consent(
                Agreed(one, session.subject, ("mcp",), (API,), CALLBACK),
                session,
                service=service,
                provenance=AT_NOON,
            )
            for one in clients
        )
    )
    await asyncio.gather(
        *(
            withdraw_consent(one, session.subject, service=service, provenance=AT_NOON)
            for one in clients
        )
    )

    assert len(log.of(Consents.Given)) == len(log.of(Consents.Withdrawn)) == len(clients)
    assert log.saves == 2 * len(clients)


class _Contended(MemoryLog):
    """A log in which somebody else is always faster on one stream."""

    lost: UUID | None = None

    async def save(self, *aggregates: Recorded) -> int:
        if any(one.id == self.lost for one in aggregates):
            raise Conflict("another writer was first")
        await asyncio.sleep(0)  # whoever loses is done before the others
        return await super().save(*aggregates)


async def test_one_family_that_cannot_be_ended_spares_no_other() -> None:
    """Families of a withdrawn consent end, whichever of them is being used by others, and that one
    is told of.
    """
    log = _Contended()
    service = FakeService(log=log)
    terms = FamilyTerms("shop", "alice", "sess_1", ("user",), (), NOON, 3600, 3600, 10)
    token = IssuedToken(str(stream_id()), NOON)
    families = [
        RefreshTokenFamily.start(
            stream_id(), terms, pepper_id="pepper-1", token=token, provenance=AT_NOON
        )
        for _ in range(40)
    ]
    log.record(*families)
    log.lost = families[0].id

    with pytest.raises(TemporarilyUnavailable):
        await end_families([one.id for one in families], service, by="alice", provenance=later(1))

    revoked = [log.folded(one.id).revoked for one in families]
    assert revoked == [False, *[True] * 39]
