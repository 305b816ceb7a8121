"""A code or refresh token that a client presents: whose it is, and one use of it at a time.

1 it carries our MAC; then what counts once in the request is used, 2 what it stands for exists and
was granted to this client; only then is it used. A use that loses a race starts again from what the
log says then.

Where this process saved the grant a moment ago, the first try builds on that and reads nothing.
Whoever was faster elsewhere makes it conflict, and no refusal is said on what may be old.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from application.client_authentication import AuthenticatedClient
from application.derived_tokens import Derived, DerivedTokens, TokenKind, UnreadableToken
from application.ending import ATTEMPTS
from application.errors import TemporarilyUnavailable, UnusableGrant
from application.ledger.errors import Conflict
from application.ports import EventLog
from application.request_context import RequestContext
from application.token_response import TokenResponse
from application.turns import Turns
from domain.recorded import Recorded

Grant = TypeVar("Grant", bound=Recorded)


class PresentedService(Protocol):
    """What it takes to find what was presented."""

    @property
    def log(self) -> EventLog:
        """The event log."""

    @property
    def derived(self) -> DerivedTokens:
        """Refresh tokens, codes and device codes."""

    @property
    def turns(self) -> Turns:
        """Who uses which stream in this process."""


@dataclass(frozen=True, slots=True)
class Presented:
    """What a request presents; `name` is what the record calls it."""

    token: str = field(repr=False)
    kind: TokenKind
    name: str


async def use_presented(
    presented: Presented,
    requester: AuthenticatedClient,
    context: RequestContext,
    service: PresentedService,
    *,
    of: type[Grant],
    client_of: Callable[[Grant], str],
    use: Callable[[Grant, Derived], Awaitable[TokenResponse]],
    saves: Callable[[Grant, Derived], bool] = lambda _grant, _derived: False,
) -> TokenResponse:
    """Return what `use` makes of the grant. `client_of` tells the client_id it was granted to;
    `saves`, whether `use` would record more in the grant's stream before it answers.

    Raises UnusableGrant, what `use` raises, TemporarilyUnavailable after too many lost races,
    LedgerUnavailable.
    """
    derived = _read(presented, service.derived)  # 1
    await context.once.use()
    async with service.turns.of(derived.stream_id):
        grant = service.log.recent(derived.stream_id)
        if not isinstance(grant, of) or not saves(grant, derived):
            grant = await service.log.load(derived.stream_id)
        for _ in range(ATTEMPTS):
            if not isinstance(grant, of):  # 2
                raise UnusableGrant(reason=f"unknown {presented.name}")
            if client_of(grant) != requester.client.client_id:
                raise UnusableGrant(reason=f"another client's {presented.name}")
            try:
                return await use(grant, derived)
            except Conflict:
                grant = await service.log.load(derived.stream_id)
    raise TemporarilyUnavailable(reason=f"too many uses of one {presented.name} at once")


def _read(presented: Presented, derived: DerivedTokens) -> Derived:
    try:
        return derived.read(presented.kind, presented.token)
    except UnreadableToken as error:
        raise UnusableGrant(reason=f"{presented.name}: {error}") from None
