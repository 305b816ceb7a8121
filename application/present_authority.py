"""What a living token may do at present: by its record, and by the roles of its person now.

Whether a token was granted for a person is decided by the record of where its lineage began, never
by `sub`: the token that an owned machine got for itself names its owner as well. What a person has
to hold (domain.permissions) counts while a role of the person carries it, as of the directory,
whatever the token says.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from application.ports import Directory, EventLog
from domain.access_token import AccessToken
from domain.permissions import HELD_BY_ROLE, Catalogue


@dataclass(frozen=True, slots=True)
class RecordedGrant:
    """For whom a token was granted.

    `own` tells that a client got it for itself and nobody acts in it; `person` is the subject that
    it was granted for, None where its lineage began with a machine's own token.
    """

    own: bool
    person: str | None


class PresentAuthority:
    """Knows by the log for whom tokens were granted, and by the directory what people hold."""

    def __init__(self, log: EventLog, directory: Directory, catalogue: Catalogue) -> None:
        self._log = log
        self._directory = directory
        self._catalogue = catalogue

    async def grant_of(self, token_id: str) -> RecordedGrant | None:
        """Return for whom a token was granted, None where it was not. Raises LedgerUnavailable."""
        token = await self._log.load(UUID(token_id))
        if not isinstance(token, AccessToken):
            return None
        return RecordedGrant(token.of_machine, await self._person_behind(token))

    async def lacking(self, grant: RecordedGrant, scopes: Sequence[str]) -> list[str]:
        """Return those of `scopes` that are of no use to a token because its person does not hold
        them now. Raises LedgerUnavailable.
        """
        if not self._lacking(grant, scopes):
            return []
        # Another replica may have given the role a moment ago: a no is said on what is recorded.
        await self._directory.refresh()
        return self._lacking(grant, scopes)

    def holds(self, grant: RecordedGrant, scope: str) -> bool:
        """Tell whether a token may use `scope`, as far as this process knows at the moment."""
        return not self._lacking(grant, (scope,))

    async def scope_of(self, token: AccessToken) -> tuple[str, ...]:
        """Return the scope of a token without the management scopes that its person does not hold
        now, as far as this process knows. Raises LedgerUnavailable.
        """
        scope, management = token.issued.scope, self._catalogue.management
        if token.of_machine or management.isdisjoint(scope):
            return scope
        grant = RecordedGrant(own=False, person=await self._person_behind(token))
        lacking = self._lacking(grant, [name for name in scope if name in management])
        return tuple(name for name in scope if name not in lacking)

    def _lacking(self, grant: RecordedGrant, scopes: Sequence[str]) -> list[str]:
        if grant.person is None:
            return []
        person, known = self._directory.principal(grant.person), self._catalogue.by_name
        held = person.permissions(self._catalogue) if person is not None else frozenset[str]()
        return [
            name
            for name in scopes
            if name not in held and (name not in known or known[name].tier in HELD_BY_ROLE)
        ]

    async def _person_behind(self, token: AccessToken) -> str | None:
        root = await root_of(token, self._log)
        return None if root is not None and root.of_machine else token.issued.subject


async def root_of(token: AccessToken, log: EventLog) -> AccessToken | None:
    """Return the token that the lineage of `token` began with, itself where it was not exchanged.

    None where the log does not have it. Raises LedgerUnavailable.
    """
    if not token.lineage:
        return token
    found = await log.load(UUID(token.lineage[0]))
    return found if isinstance(found, AccessToken) else None
