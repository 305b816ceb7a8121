"""The lag of a projection in events and seconds."""

from psycopg import AsyncConnection

from projections.audit_trail import AUDIT_TRAIL
from projections.registry import PROJECTIONS
from projections.status import ProjectionStatus, projection_status
from tests.projections.projecting import catch_up, status
from tests.projections.recording import Recording
from tests.waiting import eventually


def test_is_zero_when_caught_up(recording: Recording) -> None:
    """At the head of the log there is no lag, however old the last event."""
    recording.issue(4)
    catch_up(recording.database_url)

    assert status(recording.database_url) == [
        ProjectionStatus("audit_trail", 1, 4, 4, 0.0),
        ProjectionStatus("client_last_used", 1, 4, 4, 0.0),
        ProjectionStatus("sessions", 1, 4, 4, 0.0),
        ProjectionStatus("delegations", 1, 4, 4, 0.0),
        ProjectionStatus("forged_tokens", 1, 4, 4, 0.0),
    ]


def test_grows_with_the_oldest_event_that_is_lacking(recording: Recording) -> None:
    """Events behind are counted; the seconds are the age of the first of them, not of the last."""
    catch_up(recording.database_url, [AUDIT_TRAIL])
    recording.issue(2)
    (first,) = status(recording.database_url, [AUDIT_TRAIL])
    eventually(lambda: status(recording.database_url)[0].lag_seconds > first.lag_seconds + 0.2)
    recording.issue(1)
    (then,) = status(recording.database_url, [AUDIT_TRAIL])

    assert (first.lag_events, then.lag_events) == (2, 3)
    assert 0 < first.lag_seconds < then.lag_seconds - 0.2


async def test_knows_those_that_were_never_built(recording: Recording, database_url: str) -> None:
    """Before the first start everything is lag; async code gets the same answer."""
    recording.issue(2)
    async with await AsyncConnection.connect(database_url) as connection:
        found = await projection_status().fetch_async(connection)

    assert [one.projection for one in found] == [one.name for one in PROJECTIONS]
    assert [(one.build, one.position, one.lag_events) for one in found] == [(0, 0, 2)] * len(
        PROJECTIONS
    )
    assert all(one.lag_seconds > 0 for one in found)


def test_is_nothing_on_an_empty_log(database_url: str) -> None:
    """Without events there is no lag, built or not."""
    assert [(one.head, one.lag_seconds) for one in status(database_url)] == [(0, 0.0)] * len(
        PROJECTIONS
    )
