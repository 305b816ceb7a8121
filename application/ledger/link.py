"""One connection to PostgreSQL that comes back by itself.

Every wait has an end, so that a database that hangs looks like one that is gone.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from psycopg import AsyncConnection, Error

from application.ledger.errors import LedgerUnavailable
from application.ledger.log_epoch import LogEpoch
from application.ledger.wire import Answer, Row, Statement, Wire

CONNECT_SECONDS = 3
ANSWER_SECONDS = 5

# Off is never acceptable: a token may be handed out only once its event is durable. A stricter
# setting of the operator (remote_apply) stays.
DURABLE_SESSION = (
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') IN ('off', 'local')"
)
_SESSION = (DURABLE_SESSION, f"SET statement_timeout = '{ANSWER_SECONDS}s'")

_log = logging.getLogger(__name__)


class Link:
    """A lazily opened autocommit connection. Used by one task at a time.

    With an `epoch` it leads to the log that the process follows, or nowhere; the one that `leads`
    says which that is.
    """

    def __init__(
        self,
        database_url: str,
        *,
        name: str,
        on_connect: Sequence[str] = (),
        epoch: LogEpoch | None = None,
        leads: bool = False,
    ) -> None:
        self._database_url = database_url
        self._epoch = epoch
        self._leads = leads
        self._epoch_number = 0
        self._name = name
        self._on_connect = (*_SESSION, *on_connect)
        self._wire: Wire | None = None

    @property
    def up(self) -> bool:
        """Whether the last use found PostgreSQL answering."""
        return self._wire is not None and self._wire.open

    async def fetch(self, statement: Statement, parameters: Sequence[bytes] = ()) -> list[Row]:
        """Run one prepared statement in its own transaction and return its rows, all binary.

        Raises LedgerUnavailable when no connection can be had (nothing was sent), the psycopg
        error when the statement failed, OperationalError or TimeoutError when its answer was lost;
        `up` tells which of the last two.
        """
        wire = await self.connected()
        async with self._dropped_when_lost(wire):
            return await wire.run(statement, parameters, seconds=ANSWER_SECONDS + 1)

    def start(self, statement: Statement, parameters: Sequence[bytes]) -> Answer | None:
        """Send a statement at once, without waiting for anything; None where that cannot be."""
        wire = self._wire
        if wire is None or not wire.ready_for(statement) or self._outlived():
            return None
        return wire.start(statement, parameters, seconds=ANSWER_SECONDS + 1)

    async def finish(self, answer: Answer) -> list[Row]:
        """Return the rows of what `start` sent; raises as `fetch` does for what was sent."""
        assert self._wire is not None
        async with self._dropped_when_lost(self._wire):
            return await self._wire.rows(answer)

    @asynccontextmanager
    async def _dropped_when_lost(self, wire: Wire) -> AsyncIterator[None]:
        try:
            yield
        except BaseException as error:
            if not wire.open or _ends_session(error):
                await self.drop()
            raise

    async def connected(self) -> Wire:
        """Return the open connection. Raises LedgerUnavailable when there is none to be had."""
        if self._wire is not None and self._wire.open and not self._outlived():
            return self._wire
        await self.drop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                self._wire = wire = await self._opened()
        except (Error, OSError, TimeoutError) as error:
            raise LedgerUnavailable(f"no connection to PostgreSQL ({self._name})") from error
        _log.debug("connected to PostgreSQL (%s)", self._name)
        return wire

    async def _opened(self) -> Wire:
        connection = await AsyncConnection.connect(
            self._database_url,
            autocommit=True,
            application_name=f"grantledger {self._name}",
            connect_timeout=CONNECT_SECONDS,
        )
        try:
            if self._epoch is not None:
                self._epoch_number = self._epoch.number
                await self._epoch.check(connection, leads=self._leads)
            for statement in self._on_connect:
                await connection.execute(statement)
            return Wire(connection)
        except BaseException:
            await connection.close()
            raise

    def _outlived(self) -> bool:
        """Tell whether the log was doubted since: another server may answer at the same address."""
        if self._epoch is None or self._leads:
            return False
        return self._epoch_number != self._epoch.number

    async def drop(self) -> None:
        """Close what is open; the next use connects anew."""
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.close()


def _ends_session(error: BaseException) -> bool:
    """Tell whether nothing more can be learnt over the connection about what was sent."""
    if not isinstance(error, Error):
        return True
    # Class 57P: shut down or terminated; class 08: connection exception. Either may follow a
    # commit that was done locally, so that the answer counts as lost.
    return (error.sqlstate or "").startswith(("57P", "08"))
