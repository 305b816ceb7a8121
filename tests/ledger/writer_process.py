"""A writer with a process and a ledger of its own: python -m tests.ledger.writer_process URL NAME.

Writes units of one to four events in bursts and prints, a line each, the serial numbers of the
units that were answered. Ends after UNITS of them where that is given, else only when killed.
"""

import asyncio
import sys
from itertools import count, islice

import msgspec
from eventsourcing.persistence import StoredEvent

from application.ledger.ledger import Ledger
from tests.builders import stream_id

BURST = 6


class Part(msgspec.Struct, frozen=True):
    """The state of one event: which part of which unit of which writer it is."""

    writer: str
    unit: int
    part: int
    parts: int


def unit_of(writer: str, serial: int) -> list[StoredEvent]:
    """Return the events of the unit `serial` of `writer`: two streams where it has enough parts."""
    parts = serial % 4 + 1
    first, second = stream_id(), stream_id()
    return [
        StoredEvent(
            second if part > 2 else first,
            part,
            "test.happened",
            msgspec.json.encode(Part(writer, serial, part, parts)),
        )
        for part in range(1, parts + 1)
    ]


async def _write(database_url: str, writer: str, units: int | None) -> None:
    serials = iter(count()) if units is None else iter(range(units))
    async with Ledger(database_url) as ledger:
        while burst := list(islice(serials, BURST)):
            await asyncio.gather(
                *[ledger.writer.submit(unit_of(writer, serial)) for serial in burst]
            )
            sys.stdout.write("".join(f"{serial}\n" for serial in burst))
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_write(sys.argv[1], sys.argv[2], int(sys.argv[3]) if sys.argv[3:] else None))
