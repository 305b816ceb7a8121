"""Alarms: one source answers, and every place that tells of alarms shows it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg.sql import SQL

from api.doctor.finding import Level
from api.doctor.log import examine_log
from api.read_models import ReadModels
from application.ledger.errors import LedgerUnavailable
from application.ledger.schema import migrate
from domain.log_continuity import FollowedLog, LogContinuity, LogLoss
from domain.provenance import Provenance
from projections.alarms import ALARM_SOURCES, Alarm, AlarmSource
from projections.query import Query
from tests.projections.recording import Recording

_SINCE = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)


def _source(*, stands: bool) -> AlarmSource:
    statement = SQL(
        "SELECT 'toy' AS name, 'a wheel came off' AS found, 'put it back' AS fix,"
        " %(since)s::timestamptz AS since WHERE %(stands)s"
    )
    return AlarmSource("toy", Query(statement, {"since": _SINCE, "stands": stands}, Alarm))


@contextmanager
def _connected(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        migrate(connection, now=datetime.now(UTC))
        yield connection


async def test_what_readiness_asks_shows_an_alarm_that_stands(database_url: str) -> None:
    """The answer has the alarm of the source that finds one, and none of the other."""
    with _connected(database_url):
        models = ReadModels(database_url, alarms=(_source(stands=True), _source(stands=False)))
        found = await models.alarms()
        await models.close()

    assert found == [Alarm("toy", "a wheel came off", "put it back", _SINCE)]


async def test_an_unreadable_log_is_not_taken_for_well() -> None:
    """Without a database the answer is an error, never an empty list."""
    models = ReadModels("postgresql://127.0.0.1:1/none", alarms=(_source(stands=True),))
    with pytest.raises(LedgerUnavailable):
        await models.alarms()
    await models.close()


def test_the_doctor_calls_an_alarm_a_problem(database_url: str) -> None:
    """A standing alarm is a problem with its fix; a quiet source is said to be well."""
    with _connected(database_url) as connection:
        now = datetime.now(UTC)
        standing = list(examine_log(connection, now, (_source(stands=True),)))[-1]
        quiet = list(examine_log(connection, now, (_source(stands=False),)))[-1]

    assert (standing.level, standing.fix) == (Level.PROBLEM, "put it back")
    assert "a wheel came off" in standing.found
    assert quiet.level is Level.OK


def test_a_log_that_went_back_is_an_alarm_for_a_week(
    database_url: str, recording: Recording
) -> None:
    """A loss that was recorded stands from then on, and no longer than a week; the record stays."""
    moment = datetime.now(UTC)
    log = FollowedLog("log-1", "1", 2)
    loss = LogLoss(9, "5e" * 32, 4, moment, moment, moment, log, log)
    recording.record(
        LogContinuity.went_back(
            loss, number=0, found_by="p-1", provenance=Provenance(moment, "req_1", by="system")
        )
    )
    source = next(one for one in ALARM_SOURCES if one.name == "log_went_back")
    with _connected(database_url) as connection:
        standing = source.query.fetch(connection)
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            "UPDATE grantledger.ledger_events SET recorded_at = recorded_at - interval '8 days'"
        )
        later = source.query.fetch(connection)

    assert [alarm.name for alarm in standing] == ["log_went_back"]
    assert "after position 4 " in standing[0].found
    assert later == []


def test_names_are_labels() -> None:
    """Every source has a name of its own that the metrics can use as a label."""
    names = [source.name for source in ALARM_SOURCES]

    assert len(set(names)) == len(names)
    assert all(name.isidentifier() and name.islower() for name in names)
