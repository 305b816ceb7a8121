"""Tries that may be refused, for waiting until they are not."""

from application.ledger.errors import LedgerUnavailable
from application.ledger.ledger import Ledger
from tests.builders import records


async def records_again(ledger: Ledger) -> bool:
    """Try to record an event and tell whether it was."""
    try:
        await ledger.writer.append(records())
    except LedgerUnavailable:
        return False
    return True
