"""Plays every fault, one after the other, and tells what came of each.

`python -m tests.faults --list` names them. Ends with 1 where anything did not hold.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from rich.console import Console
from rich.table import Table

from tests.faults import clock, connections, database, keys, killing
from tests.faults.fault import FAULTS, Outcome
from tests.faults.playing import play
from tests.faults.stage import a_stage
from tests.postgres import running_postgres

MODULES = (killing, database, connections, clock, keys)
SECONDS = 4.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the faults that were asked for; return 1 where any check failed."""
    options = _options(arguments)
    if options.list:
        for fault in FAULTS.values():
            print(f"{fault.name:<32}{fault.about}")
        return 0
    names = options.faults or list(FAULTS)
    began = monotonic()
    outcomes = asyncio.run(_all(names, options.seconds))
    _print(outcomes)
    failed = [one.name for one in outcomes if one.problems]
    print(f"{len(outcomes)} faults in {monotonic() - began:.0f} s, {len(failed)} failed")
    return 1 if failed else 0


async def _all(names: Sequence[str], seconds: float) -> list[Outcome]:
    outcomes = []
    with (
        tempfile.TemporaryDirectory(prefix="grantledger-faults-") as folder,
        running_postgres() as postgres,
    ):
        async with a_stage(Path(folder), postgres, seconds=seconds) as stage:
            for number, name in enumerate(names, start=1):
                fault = FAULTS[name]
                print(f"{number} of {len(names)}: {fault.about}", file=sys.stderr, flush=True)
                outcome = await play(fault, stage)
                outcomes.append(outcome)
                for problem in outcome.problems:
                    print(f"  NOT HELD: {problem}", file=sys.stderr, flush=True)
    return outcomes


def _print(outcomes: Sequence[Outcome]) -> None:
    table = Table("fault", "answered", "503", "cut", "tokens held", "served again", "all held")
    for one in outcomes:
        served = sum(count for status, count in one.answers.items() if status.startswith("2"))
        table.add_row(
            one.name,
            f"{served:,}",
            str(one.answers["503"]),
            str(one.answers["cut"]),
            f"{one.held:,}",
            "" if one.skipped else f"{one.back:.1f} s",
            (one.skipped and f"not played: {one.skipped}") or ("NO" if one.problems else "yes"),
        )
    Console(width=120).print(table)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description="faults under load from clients that check every answer",
        epilog="examples: make faults; make faults ARGS='server-killed disk-full --seconds 10'",
    )
    parser.add_argument("faults", nargs="*", choices=[*FAULTS, []], help="all if left out")
    parser.add_argument("--list", action="store_true", help="only say which there are")
    parser.add_argument(
        "--seconds",
        type=float,
        default=SECONDS,
        help="how long a fault lasts that has no end of its own",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
