"""Consents that are given and taken back at once."""

import asyncio

from application.authorization.consenting import give_consent, withdraw_consent
from domain.consents import Consents
from domain.session import Session
from tests.application.fakes import InterleavingLog
from tests.application.service import ORIGIN, FakeService
from tests.builders import AT_NOON, NOON


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
            give_consent(one, ("mcp",), session, service=service, provenance=AT_NOON)
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
