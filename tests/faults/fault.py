"""One fault: what it is called, what it does, and what came of it."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.faults.stage import Stage

Play = Callable[[Stage], Awaitable[None]]
FAULTS: dict[str, "Fault"] = {}


class NotHere(Exception):
    """The machine cannot play this fault; the message says why."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`about` is the first line of what `play` says of itself. `unnoticed`: no client may be
    refused or cut off by it, since nothing that an answer needs is touched.
    """

    name: str
    about: str
    play: Play
    unnoticed: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a fault: `back` is the seconds from its end until every client was served;
    `problems` is empty where everything held, `skipped` says why it was not played.
    """

    name: str
    answers: Counter[str] = field(default_factory=Counter)
    held: int = 0
    back: float = 0.0
    problems: tuple[str, ...] = ()
    skipped: str = ""

    @property
    def passed(self) -> bool:
        """Whether it was played and everything held."""
        return not self.problems and not self.skipped


def fault(play: Play) -> Play:
    """Add `play` to the faults, under the name of the function."""
    return _added(play, unnoticed=False)


def unnoticed_fault(play: Play) -> Play:
    """Add one that no client may notice."""
    return _added(play, unnoticed=True)


def _added(play: Play, *, unnoticed: bool) -> Play:
    assert play.__doc__ is not None
    name = play.__name__.replace("_", "-")
    FAULTS[name] = Fault(name, play.__doc__.split("\n")[0].rstrip("."), play, unnoticed)
    return play
