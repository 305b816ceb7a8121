"""A code or refresh token that a client presents: whose it is, and one use of it at a time.

1 it carries our MAC; then what counts once in the request is used, 2 what it stands for exists, was
granted to this client, and was issued under the pepper that its MAC fits: one that was demoted,
because it leaked perhaps, makes nothing of what came after it. Only then is it used. A use that
loses a race starts again from what the log says then.

Where this process saved the grant a moment ago, the first try builds on that and reads nothing.
Whoever was faster elsewhere makes it conflict, and no refusal is said on what may be old.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from application.client_authentication import AuthenticatedClient
from application.derived_tokens import Derived, DerivedTokens, TokenKind, UnreadableToken
from application.errors import TemporarilyUnavailable, UnusableGrant
from application.insisting import ATTEMPTS, stand_back
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


async def use_presented(  # noqa: PLR0913  # what the grants differ in, each by its name
    presented: Presented,
    requester: AuthenticatedClient,
    context: RequestContext,
    service: PresentedService,
    *,
    of: type[Grant],
    client_of: Callable[[Grant], str],
    issued_under: Callable[[Grant, Derived], bool],
    use: Callable[[Grant, Derived], Awaitable[TokenResponse]],
    saves: Callable[[Grant, Derived], bool] = lambda _grant, _derived: False,
) -> TokenResponse:
    """Return what `use` makes of the grant. `client_of` tells the client_id it was granted to,
    `issued_under` whether what is presented was derived under that pepper when it was issued;
    `saves`, whether `use` would record more in the grant's stream before it answers.

    Raises UnusableGrant, what `use` raises, TemporarilyUnavailable after too many lost races,
    LedgerUnavailable.
    """
    derived = _read(presented, service.derived)  # 1
    await context.once.use()
    turn = service.turns.of(derived.stream_id)
    for attempt in range(ATTEMPTS):
        async with turn.queue:
            try:
                async with turn.stream:
                    grant = None if attempt else service.log.recent(derived.stream_id)
                    if not isinstance(grant, of) or not saves(grant, derived):
                        grant = await service.log.load(derived.stream_id)
                    if not isinstance(grant, of):  # 2
                        raise UnusableGrant(reason=f"unknown {presented.name}")
                    if client_of(grant) != requester.client.client_id:
                        raise UnusableGrant(reason=f"another client's {presented.name}")
                    if not issued_under(grant, derived):
                        reason = f"{presented.name} derived under another pepper"
                        raise UnusableGrant(reason=reason)
                    return await use(grant, derived)
            except Conflict as lost:
                await stand_back(lost)
    raise TemporarilyUnavailable(reason=f"too many uses of one {presented.name} at once")


def _read(presented: Presented, derived: DerivedTokens) -> Derived:
    try:
        return derived.read(presented.kind, presented.token)
    except UnreadableToken as error:
        raise UnusableGrant(reason=f"{presented.name}: {error}") from None
