"""Ending what was issued: tokens, families and sessions, each with all that hangs on it.

1. One unit: a rotation or redemption at the same moment meets a conflict, reloads, and finds the
   end. So what is on the streams is complete, and no look-up by session or family is needed.
   An end that meets a conflict insists (application.insisting).
2. A unit is no larger than can be recorded in moments: a family has so many living tokens only
   (domain.refresh_token_family). The families of a session may be more than one unit; its own end
   is in the last, so that nothing is alive of a session that says it ended. Who breaks off before
   that has ended nothing by halves, and is to try again.
3. What hangs on it and cannot be read is left: it is refused wherever it is presented, and must not
   keep all the rest alive.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypedDict
from uuid import UUID

from application.insisting import insist
from application.ledger.errors import StreamUnreadable
from application.ports import EventLog
from application.turns import Turns
from domain.access_token import AccessToken
from domain.issuance import DeploymentPolicy
from domain.provenance import Provenance
from domain.recorded import Recorded
from domain.refresh_token_family import RefreshTokenFamily
from domain.session import Authorized, Session

_log = logging.getLogger(__name__)

UNIT_STREAMS = 1_024
"""At least a family with all the tokens that it can have alive."""


class EndingService(Protocol):
    """What it takes to end something."""

    @property
    def log(self) -> EventLog:
        """The event log."""

    @property
    def policy(self) -> DeploymentPolicy:
        """The rules of the deployment."""

    @property
    def turns(self) -> Turns:
        """Who uses which stream in this process."""


class _How(TypedDict):
    by: str
    reason: str
    provenance: Provenance


async def ended_tokens(
    jtis: Iterable[str], service: EndingService, *, by: str, reason: str, provenance: Provenance
) -> list[AccessToken]:
    """Return the tokens `jtis`, revoked and not saved yet; what descends from them is void too,
    unless the policy says otherwise.

    Raises LedgerUnavailable.
    """
    found = await asyncio.gather(*(_readable(UUID(jti), service) for jti in jtis))
    tokens = [token for token in found if isinstance(token, AccessToken)]
    descendants = service.policy.end_descendants
    for token in tokens:
        token.revoke(by=by, reason=reason, provenance=provenance, descendants=descendants)
    return tokens


async def _readable(stream_id: UUID, service: EndingService) -> Any:
    try:
        return await service.log.load(stream_id)
    except StreamUnreadable:  # 3
        _log.error("the stream %s cannot be read, and so not be ended", stream_id)
        return None


async def ended_family(
    family: RefreshTokenFamily,
    service: EndingService,
    *,
    by: str,
    reason: str,
    provenance: Provenance,
) -> Sequence[Recorded]:
    """Return the family and its living tokens, revoked and not saved yet; nothing where it was
    revoked before, since its tokens were in that unit. Raises as above.
    """
    if family.revoked:
        return []
    alive = family.tokens_alive(provenance.occurred_at)
    family.revoke(by=by, reason=reason, provenance=provenance)
    tokens = await ended_tokens(
        (token.jti for token in alive), service, by=by, reason=reason, provenance=provenance
    )
    return [family, *tokens]


async def end_family(
    family_id: UUID, service: EndingService, *, by: str, reason: str, provenance: Provenance
) -> bool:
    """Revoke a family and its access tokens; False where there is none.

    Raises TemporarilyUnavailable after too many lost races, LedgerUnavailable.
    """
    found = False

    async def decide() -> Sequence[Recorded]:
        nonlocal found
        family = await service.log.load(family_id)
        found = isinstance(family, RefreshTokenFamily)
        if not isinstance(family, RefreshTokenFamily):
            return []
        return await ended_family(family, service, by=by, reason=reason, provenance=provenance)

    turn = service.turns.of(family_id)
    async with turn.stream:
        await insist(service.log, decide)
    return found


async def end_tokens(
    jtis: Iterable[str], service: EndingService, *, by: str, reason: str, provenance: Provenance
) -> None:
    """Revoke access tokens that belong to no family. Raises as `end_family` does."""
    named = tuple(jtis)

    async def decide() -> Sequence[Recorded]:
        return await ended_tokens(named, service, by=by, reason=reason, provenance=provenance)

    await insist(service.log, decide)


async def end_session(
    session_id: str, service: EndingService, *, by: str, reason: str, provenance: Provenance
) -> Session | None:
    """End a session, its families and their tokens; None where there is no such session.

    Raises TemporarilyUnavailable after too many lost races, LedgerUnavailable.
    """
    try:
        stream_id = Session.stream(session_id)
    except ValueError:
        return None
    act = _Ending(stream_id, service, by, reason, provenance)
    turn = service.turns.of(stream_id)
    async with turn.stream:
        await insist(service.log, act.decide)
    return act.session


class _Ending:
    """One act upon a session. What it has ended it does not look at again, so that redemptions that
    go on meanwhile make it read what is new, and not all of the session.
    """

    def __init__(
        self,
        stream_id: UUID,
        service: EndingService,
        by: str,
        reason: str,
        provenance: Provenance,
    ) -> None:
        self.session: Session | None = None
        self._stream_id = stream_id
        self._service = service
        self._by = by
        self._reason = reason
        self._provenance = provenance
        self._ended: set[str] = set()

    async def decide(self) -> Sequence[Recorded]:
        """Return the session, ended, with the last of what is alive of it; the rest is recorded as
        ended before. Nothing where the session ended before: nothing of it is alive.
        """
        session = await self._service.log.load(self._stream_id)
        self.session = session if isinstance(session, Session) else None
        if self.session is None or self.session.ended:
            return []
        unit: list[Recorded] = []
        taken: list[Authorized] = []
        for one in self._left(self.session):
            part = await self._part(one)
            if len(unit) + len(part) > UNIT_STREAMS:
                await self._end(taken, first=unit)
                unit, taken = [], []
            unit += part
            taken.append(one)
        self.session.end(by=self._by, reason=self._reason, provenance=self._provenance)
        return [self.session, *unit]

    def _left(self, session: Session) -> Sequence[Authorized]:
        now = self._provenance.occurred_at
        return [
            one for one in session.authorized if now < one.expires_at and one.jti not in self._ended
        ]

    async def _end(self, taken: Sequence[Authorized], *, first: Sequence[Recorded]) -> None:
        async def decide() -> Sequence[Recorded]:
            return [record for one in taken for record in await self._part(one)]

        await insist(self._service.log, decide, first=first)
        self._ended.update(one.jti for one in taken)

    async def _part(self, one: Authorized) -> Sequence[Recorded]:
        how: _How = {"by": self._by, "reason": self._reason, "provenance": self._provenance}
        if one.family_id is None:
            return await ended_tokens([one.jti], self._service, **how)
        family = await _readable(UUID(one.family_id), self._service)
        return [] if family is None else await ended_family(family, self._service, **how)
