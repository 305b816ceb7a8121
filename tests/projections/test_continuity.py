"""Read models follow the log that is there: what comes from events that are gone is made anew."""

from datetime import UTC, datetime
from typing import Any

import pytest
from psycopg import Connection

from domain.retention import Retention
from projections.audit_trail import AUDIT_TRAIL
from projections.builds import project
from projections.continuity import ReadModelsDiffer, require_of_this_log
from projections.log_reader import LogReader
from projections.registry import PROJECTIONS
from projections.runner import Projector
from projections.verify import verify
from tests.builders import AT_NOON
from tests.ledger.going_back import take_back
from tests.projections.projecting import catch_up, eventually_caught_up, projecting, status
from tests.projections.recording import Recording
from tests.waiting import eventually


def _all_at(database_url: str, position: int) -> bool:
    return all(one.position == position == one.head for one in status(database_url))


def _made_anew(database_url: str) -> bool:
    return {one.build for one in status(database_url)} == {2}


def _clean(database_url: str) -> bool:
    return all(verify(database_url, projection).clean for projection in PROJECTIONS)


@pytest.mark.parametrize("more", [0, 3, 9], ids=["behind", "as far", "past"])
def test_a_log_that_went_back_alone(recording: Recording, more: int) -> None:
    """With the read models of before, ahead of the log or with rows that it lost: they are made
    anew while the projector runs, whether or not the log has come as far again.
    """
    recording.issue(2)
    with projecting(Projector(recording.database_url)):
        recording.issue(3)
        eventually_caught_up(recording.database_url)
        take_back(recording.database_url, to=2)
        if more:
            recording.issue(more)
        eventually(lambda: _made_anew(recording.database_url), seconds=10)
        eventually(lambda: _all_at(recording.database_url, 2 + more), seconds=10)

    assert _clean(recording.database_url)


def test_it_is_noticed_at_the_next_start(recording: Recording) -> None:
    """What happened while no projector ran shows from the tracking row."""
    recording.issue(5)
    catch_up(recording.database_url)
    take_back(recording.database_url, to=2)
    recording.issue(9)
    catch_up(recording.database_url)

    assert _clean(recording.database_url)


def test_no_batch_is_written_on_top(recording: Recording, session: Connection[Any]) -> None:
    """A batch of the log that is there does not go into a build that was made from another."""
    recording.issue(5)
    catch_up(recording.database_url)
    take_back(recording.database_url, to=2)
    recording.issue(9)
    batch = LogReader(recording.mapper, topics=None).read(session, after=4)

    with pytest.raises(ReadModelsDiffer):
        project(session, [AUDIT_TRAIL], batch)
    assert status(recording.database_url, [AUDIT_TRAIL])[0].position == 5


def test_an_unbroken_log_keeps_its_read_models(recording: Recording) -> None:
    """In the ordinary course nothing is made anew."""
    recording.issue(5)
    catch_up(recording.database_url)
    recording.issue(5)
    catch_up(recording.database_url)

    assert [one.build for one in status(recording.database_url)] == [1] * len(PROJECTIONS)


def test_a_month_that_left_is_no_other_log(recording: Recording, session: Connection[Any]) -> None:
    """The last event that was written may be of a month that is detached since."""
    recording.issue(2)
    catch_up(recording.database_url)
    now = datetime.now(UTC)
    month = f"ledger_events_{now:%Y_%m}"
    fate = Retention.open(month, provenance=AT_NOON)
    fate.detach(
        rows=2,
        first_position=1,
        last_position=2,
        manifest_sha256="00" * 32,
        dropped=False,
        provenance=AT_NOON,
    )
    recording.record(fate)
    session.execute(f"ALTER TABLE grantledger.ledger_events DETACH PARTITION grantledger.{month}")

    assert require_of_this_log(session, PROJECTIONS) == dict.fromkeys(
        (projection.name for projection in PROJECTIONS), 2
    )
    catch_up(recording.database_url)
    assert [one.build for one in status(recording.database_url)] == [1] * len(PROJECTIONS)
