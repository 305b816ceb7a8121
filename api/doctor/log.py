"""The event log and what is made from it: schema, partitions, detached months, read models."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from psycopg import Connection

from api.doctor.finding import Finding, fine, problem, warning
from application.ledger.schema import MIGRATIONS, month_partition, schema_version
from projections.alarms import ALARM_SOURCES, AlarmSource, standing
from projections.retention.months import attached_months, months_left
from projections.status import projection_status

LAG_SECONDS = 60.0
_NEEDED_AHEAD = 1
"""Months: with less, a service that is not restarted soon has nowhere to put a token."""


def examine_log(
    connection: Connection[Any], now: datetime, alarms: Sequence[AlarmSource] = ALARM_SOURCES
) -> Iterator[Finding]:
    """Yield what there is to say about the log as of `now` (UTC). Raises psycopg.Error."""
    schema = _schema(connection)
    yield schema
    if schema.fix:
        return  # what comes next reads tables that may not be there
    yield _partitions(connection, now)
    yield _detached(connection)
    yield from _read_models(connection)
    yield from _alarms(connection, alarms)


def _schema(connection: Connection[Any]) -> Finding:
    there, here = schema_version(connection), len(MIGRATIONS)
    found = f"{there} of {here}"
    if there < here:
        return problem("schema", found, "run `grantledger migrate`, or start the service")
    if there > here:
        return problem("schema", found, "a newer version has been here: install that one")
    return fine("schema", found)


def _partitions(connection: Connection[Any], now: datetime) -> Finding:
    present = {month.partition for month in attached_months(connection)}
    wanted = [month_partition(now, offset)[0] for offset in range(_NEEDED_AHEAD + 1)]
    missing = [name for name in wanted if name not in present]
    if missing:
        return problem(
            "partitions",
            f"missing: {', '.join(missing)}",
            "run `grantledger migrate`; a service that runs makes them each hour",
        )
    return fine("partitions", f"up to {max(present)}")


def _detached(connection: Connection[Any]) -> Finding:
    pending = [month.partition for month in attached_months(connection) if month.pending]
    if pending:
        return warning(
            "detached months",
            f"broken off while detaching: {', '.join(pending)}",
            "run `grantledger retention apply` again: it finishes what was begun",
        )
    left = [one.month.partition for one in months_left(connection)]
    return fine("detached months", ", ".join(left) or "none")


def _read_models(connection: Connection[Any]) -> Iterator[Finding]:
    for status in projection_status().fetch(connection):
        check = f"read model {status.projection}"
        if status.build == 0:
            yield warning(
                check, "never made", "start the service, or `grantledger projections run`"
            )
        elif status.position > status.head:
            yield problem(
                check,
                f"{status.position - status.head:,} events ahead of the log: it went back",
                "start the service, or `grantledger projections run`: it is made anew",
            )
        elif status.lag_seconds > LAG_SECONDS:
            yield warning(
                check,
                f"{status.lag_events:,} events and {status.lag_seconds:,.0f} s behind",
                "start the service, or `grantledger projections run`; its log says what stops it",
            )
        else:
            yield fine(check, f"{status.lag_events:,} events behind")


def _alarms(connection: Connection[Any], sources: Sequence[AlarmSource]) -> Iterator[Finding]:
    for source in sources:
        check = source.name.replace("_", " ")
        found = standing(source, connection)
        for alarm in found:
            yield problem(
                check, f"{alarm.found}, since {alarm.since:%Y-%m-%d %H:%M} UTC", alarm.fix
            )
        if not found:
            yield fine(check, "none")
