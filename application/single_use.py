"""What counts once: the names of assertions and proofs that a request brings, and their use.

1. A name is used after every check that costs nothing: parameters, grant types, MACs, signatures.
   Otherwise requests that could never get anything would each leave a row behind.
2. It is used before anything is read or decided for the request: a replay moves nothing.
3. It is remembered OUTLIVES longer than it could be accepted by a clock that is right. A request is
   judged as of its arrival, which may lie LONGEST_REQUEST back by the time it uses its name, and
   the clock of the replica that forgets names may be SKEW ahead of the one that judges.
"""

from asyncio import gather
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

from application.errors import OAuthError, TemporarilyUnavailable
from application.ports import UsedNames

LONGEST_REQUEST = timedelta(seconds=60)
"""From the arrival of a request to the use of its names: its body, and what is fetched for it."""
SKEW = timedelta(seconds=60)
"""Between the clocks of two replicas."""
OUTLIVES = LONGEST_REQUEST + SKEW


@dataclass(frozen=True, slots=True)
class UsableName:
    """A name that was proved and can be accepted until `expires_at`; `refusal` makes the error of
    its second use.
    """

    kind: str
    key: bytes
    expires_at: datetime
    refusal: Callable[[], OAuthError]


class SingleUse:
    """The names of one request. `now` is its arrival (aware, UTC), `arrived` the same moment of
    time.monotonic().
    """

    __slots__ = ("_arrived", "_names", "_used", "now")

    def __init__(self, used: UsedNames, now: datetime, *, arrived: float | None = None) -> None:
        self._used = used
        self.now = now
        self._arrived = monotonic() if arrived is None else arrived
        self._names: list[UsableName] = []

    def add(self, name: UsableName) -> None:
        """Note a name that the request proved; nothing is written yet."""
        self._names.append(name)

    def spare(self) -> None:
        """Leave the names unused: nothing is read, changed or told for this request."""
        self._names = []

    async def use(self) -> None:
        """Use every name that was added since the last time.

        Raises the refusal of a name that was used before, TemporarilyUnavailable for a request
        that came too long ago, LedgerUnavailable.
        """
        if not self._names:
            return
        names, self._names = self._names, []
        if monotonic() - self._arrived > LONGEST_REQUEST.total_seconds():
            raise TemporarilyUnavailable(reason="too long after the request came")
        fresh = await gather(*(self._is_new(name) for name in names))
        for name, is_new in zip(names, fresh, strict=True):
            if not is_new:
                raise name.refusal()

    async def _is_new(self, name: UsableName) -> bool:
        return await self._used.use(name.kind, name.key, expires_at=name.expires_at, now=self.now)


class _Nothing(SingleUse):
    """Of a request that brings no name."""

    def __init__(self) -> None:
        self._names = []

    def add(self, name: UsableName) -> None:
        """Refuse: the name could be used by nobody."""
        raise TypeError(f"this request has no place for a {name.kind}")


NO_NAMES: SingleUse = _Nothing()
