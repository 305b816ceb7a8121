"""What of a process follows the log: its ledger and its directory, with one epoch."""

from application.clock import RandomIds
from application.directory import LogDirectory
from application.ledger.errors import LedgerUnavailable
from application.ledger.ledger import Ledger
from application.ledger.link import Link
from application.ledger.log_loss import LossRecorder


class Process:
    """The ledger and the directory of one process, which reads when it is told."""

    def __init__(self, database_url: str, name: str = "p-1") -> None:
        self.log = Ledger(database_url)
        self.epoch = self.log.epoch
        leading = Link(database_url, name="directory", epoch=self.epoch, leads=True)
        self.directory = LogDirectory(
            leading,
            self.log.mapper,
            self.epoch,
            LossRecorder(leading, self.log.mapper, self.epoch, ids=RandomIds(), process=name),
        )

    async def __aenter__(self) -> "Process":
        await self.log.__aenter__()
        await self.directory.refresh()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.directory.close()
        await self.log.__aexit__()

    async def reconciled(self) -> bool:
        """Refresh once, and tell whether it decides again."""
        try:
            await self.directory.refresh()
        except LedgerUnavailable:
            return False
        return self.epoch.open
