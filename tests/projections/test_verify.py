"""The drift check finds every kind of tampering and nothing else."""

from typing import Any

import pytest
from psycopg import Connection

from projections.audit_trail import AUDIT_TRAIL
from projections.client_last_used import CLIENT_LAST_USED
from projections.registry import PROJECTIONS
from projections.runner import Projector
from projections.session import MaintenanceRunning, maintenance
from projections.verify import EXAMPLES, DriftReport, verify
from tests.builders import a_client, a_principal
from tests.projections.projecting import catch_up, eventually_caught_up, projecting
from tests.projections.recording import Recording


@pytest.fixture
def projected(recording: Recording) -> Recording:
    """Eleven events, all projected; nothing runs any more."""
    recording.record(a_client(), a_principal())
    recording.issue(9)
    catch_up(recording.database_url)
    return recording


def test_says_clean(projected: Recording) -> None:
    """What nobody touched is reported clean, at the position it is complete to."""
    reports = [verify(projected.database_url, one, batch_events=4) for one in PROJECTIONS]

    assert reports == [
        DriftReport("audit_trail", 1, 11, 0, 0, 0, ()),
        DriftReport("client_last_used", 1, 11, 0, 0, 0, ()),
        DriftReport("sessions", 1, 11, 0, 0, 0, ()),
        DriftReport("delegations", 1, 11, 0, 0, 0, ()),
        DriftReport("forged_tokens", 1, 11, 0, 0, 0, ()),
    ]
    assert all(report.clean for report in reports)


@pytest.mark.parametrize(
    ("tampering", "found"),
    [
        (
            "UPDATE read.audit_trail_b1 SET subject = 'somebody' WHERE position = 5",
            (0, 0, 1, ("differing: 5",)),
        ),
        (
            "UPDATE read.audit_trail_b1 SET detail = detail - 'policy' WHERE position = 5",
            (0, 0, 1, ("differing: 5",)),
        ),
        (
            "UPDATE read.audit_trail_b1 SET reason = '' WHERE position = 5",
            (0, 0, 1, ("differing: 5",)),
        ),
        ("DELETE FROM read.audit_trail_b1 WHERE position = 6", (1, 0, 0, ("missing: 6",))),
        (
            "UPDATE read.audit_trail_b1 SET position = 12 WHERE position = 6",
            (1, 1, 0, ("missing: 6", "unexpected: 12")),
        ),
    ],
    ids=["changed", "changed in detail", "null to empty", "deleted", "moved"],
)
def test_finds_a_tampered_entry(
    projected: Recording,
    session: Connection[Any],
    tampering: str,
    found: tuple[int, int, int, tuple[str, ...]],
) -> None:
    """Changed, deleted and invented entries are told apart and named."""
    session.execute(tampering.encode())
    report = verify(projected.database_url, AUDIT_TRAIL)

    assert not report.clean
    assert report == DriftReport("audit_trail", 1, 11, *found)


def test_finds_a_tampered_count(projected: Recording, session: Connection[Any]) -> None:
    """A count that is one too high is drift, named by its whole key."""
    session.execute("UPDATE read.client_last_used_b1 SET uses = uses + 1 WHERE name = 'mcp'")
    report = verify(projected.database_url, CLIENT_LAST_USED)

    assert report.examples == ("differing: reporter scope mcp",)


def test_names_a_few_examples_of_many(projected: Recording, session: Connection[Any]) -> None:
    """Counts are complete, examples are limited."""
    session.execute("UPDATE read.audit_trail_b1 SET kid = 'key-0'")
    report = verify(projected.database_url, AUDIT_TRAIL)

    assert (report.differing, len(report.examples)) == (11, EXAMPLES)


def test_is_exact_while_events_are_projected(recording: Recording) -> None:
    """Under a running leader the check compares one moment, not two."""
    last = 0

    def record_meanwhile(_done: int, _total: int) -> None:
        nonlocal last
        last = recording.issue(3)
        eventually_caught_up(recording.database_url)

    recording.issue(20)
    with projecting(Projector(recording.database_url)):
        eventually_caught_up(recording.database_url)
        report = verify(
            recording.database_url, AUDIT_TRAIL, progress=record_meanwhile, batch_events=5
        )

    assert report == DriftReport("audit_trail", 1, 20, 0, 0, 0, ())
    assert last == 32


def test_judges_a_lagging_read_model_by_its_own_position(projected: Recording) -> None:
    """Events that were not projected yet are lag, not drift."""
    projected.issue(5)
    report = verify(projected.database_url, AUDIT_TRAIL)

    assert (report.clean, report.position) == (True, 11)


def test_reports_entries_beyond_the_log(projected: Recording, session: Connection[Any]) -> None:
    """A read model that claims more than the log holds is drift, and the check comes to an end."""
    session.execute(
        "UPDATE grantledger.projections SET position = 12 WHERE name = 'audit_trail';"
        "UPDATE read.audit_trail_b1 SET position = 12 WHERE position = 11"
    )
    report = verify(projected.database_url, AUDIT_TRAIL)

    assert (report.missing, report.unexpected) == (1, 1)


def test_leaves_nothing_behind(projected: Recording, session: Connection[Any]) -> None:
    """A check leaves no table and no lock."""
    verify(projected.database_url, AUDIT_TRAIL)
    tables = session.execute(
        "SELECT count(*) FROM pg_class WHERE relname IN ('replayed', 'drift')"
    ).fetchone()

    assert tables == (0,)
    with maintenance(session, "audit_trail"), pytest.raises(MaintenanceRunning):
        verify(projected.database_url, AUDIT_TRAIL)
