"""PostgreSQL over the read model and DuckDB over an export answer each report alike."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from duckdb import DuckDBPyConnection
from psycopg import Connection

from projections.reports.registry import REPORTS
from projections.session import open_session
from tests.postgres import Postgres
from tests.projections.recording import Recording
from tests.projections.reports.asked import answers, exported, typed
from tests.projections.reports.rich_history import RichHistory
from tests.projections.reports.story import Story


@dataclass(frozen=True)
class Told:
    """The rich history in both engines."""

    history: RichHistory
    session: Connection[Any]
    export: DuckDBPyConnection
    end: datetime

    def points(self) -> Sequence[int | datetime]:
        """Return the moments and positions to ask at: some chapters, the end, and much later."""
        return (*self.history.positions[3:7:3], self.end, self.end + timedelta(days=100))


@pytest.fixture(scope="module")
def told(postgres: Postgres) -> Iterator[Told]:
    """Tell it once: reports only ask."""
    with ExitStack() as stack:
        url = stack.enter_context(postgres.database())
        recording = stack.enter_context(Recording(url))
        story = Story(recording)
        history = RichHistory(story)
        end = story.settle()
        session = stack.enter_context(closing(open_session(url, name="test")))
        export = stack.enter_context(exported(session))
        yield Told(history, session, export, end)


def _asked(told: Told) -> dict[str, list[dict[str, Any]]]:
    """Return with which parameters each report is asked."""
    noon = told.end - timedelta(days=3)
    leaked = ("web", "key-1", told.history.family_id, "reporter-secret-1", "secret-1", "nothing")
    return {
        "client-inventory": [{}, {"owner": "owner-1"}],
        "live-tokens": [
            {},
            {"subject": "alice", "most": 2},
            {"client_id": "agent-2", "audience": "https://api.example"},
        ],
        "client-history": [{"client_id": "reporter"}, {"client_id": "web", "since": noon}],
        "credential-age": [{}, {"days": 0}],
        "dormant-clients": [{}, {"days": 0}],
        "weak-authentication": [{}, {"days": 1000}],
        "who-could-act": [{}, {"client_id": "agent-1"}, {"whom": "alice"}],
        "unused-grants": [{}, {"days": 1}, {"client_id": "web"}],
        "scope-creep": [{}, {"client_id": "web"}, {"since": noon}],
        "administration": [{}, {"actor": "operator-2"}, {"since": noon}],
        "subject-access": [
            {"subject": "alice"},
            {"subject": "agent-1", "since": noon},
            {"subject": "agent-0 @ https://id.example"},
        ],
        "delegation-depth": [{}, {"subject": "alice", "days": 2, "most": 1}],
        "lineage": [{"jti": told.history.leaf}, {"jti": told.history.root}],
        "issuance": [
            {},
            {"client_id": "reporter", "baseline": 7, "days": 3, "verdict": "new"},
        ],
        "log-health": [{}, {"pause": 1000, "most": 2, "days": 2}],
        "denials": [{}, {"client_id": "web", "most": 1}, {"address": "address-0", "days": 1}],
        "reuse-incidents": [{}, {"client_id": "app", "since": noon}],
        "revocation-latency": [{}, {"since": noon, "most": 1}],
        "policy-drift": [{}, {"since": noon}, {"client_id": "web", "since": noon}],
        "audit-access": [{}, {"who": "cli:root", "since": noon}],
        "signing-keys": [{}],
        "blast-radius": [
            *({"leaked": name} for name in leaked),
            {"leaked": "web", "since": noon, "most": 3},
        ],
        "forged-tokens": [{}, {"kid": "key-2", "since": noon}, {"most": 1}],
        "sample": [{"seed": "1"}, {"seed": "2026", "size": 5, "since": noon}],
    }


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.name)
def test_both_engines_give_equal_answers(told: Told, report: Any) -> None:
    """At each point of the history, and each answers something somewhere."""
    given = _asked(told).get(report.name)
    assert given is not None, f"{report.name} is not asked here: add its parameters"

    answered = 0
    for parameters in given:
        for point in told.points():
            postgres, duckdb = answers(told.session, told.export, report, as_of=point, **parameters)
            assert typed(duckdb) == typed(postgres), (report.name, parameters, point)
            assert all(len(row) == len(report.columns) for row in postgres)
            answered += len(postgres)
    assert answered, f"{report.name} found nothing in the whole history"
