"""Runs the projections beside a test, and brings them up to the head of the log."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from threading import Event, Thread

from projections.projection import Projection
from projections.registry import PROJECTIONS
from projections.runner import Projector
from projections.session import open_session
from projections.status import ProjectionStatus, projection_status
from tests.waiting import eventually


@contextmanager
def projecting(projector: Projector) -> Iterator[Projector]:
    """Run `projector` in a thread; stop it, and make sure that it stops, at the end."""
    stop = Event()
    thread = Thread(target=projector.run, args=(stop,))
    thread.start()
    try:
        yield projector
    finally:
        stop.set()
        thread.join(timeout=10)
        assert not thread.is_alive()


def catch_up(database_url: str, projections: Sequence[Projection] = PROJECTIONS) -> None:
    """Return once `projections` are at the head of the log; nothing runs then any more."""
    with projecting(Projector(database_url, projections)):
        eventually_caught_up(database_url, projections)


def eventually_caught_up(
    database_url: str, projections: Sequence[Projection] = PROJECTIONS, *, seconds: float = 10
) -> None:
    """Return once some process brought `projections` to the head of the log."""
    eventually(
        lambda: all(
            one.build > 0 and one.lag_events == 0 for one in status(database_url, projections)
        ),
        seconds=seconds,
    )


def status(
    database_url: str, projections: Sequence[Projection] = PROJECTIONS
) -> list[ProjectionStatus]:
    """Return where `projections` stand."""
    with closing(open_session(database_url, name="test")) as connection:
        return projection_status(projections).fetch(connection)
