"""What is given for the parameters of a report, and which of it is refused."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from projections.reports.parameters import UnusableParameter, given_values
from projections.reports.registry import REPORTS, report_named
from projections.reports.report import Kind, Parameter, Report

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)
JTI = "0197a2b4-6c1e-7d3f-8a55-0f3e2d1c4b6a"
REPORT = Report(
    number=0,
    name="of-tests",
    title="Of tests",
    question="Does it read what it is given?",
    asked_by="tests",
    columns=(),
    sql="SELECT 1",
    parameters=(
        Parameter("client", Kind.TEXT, "The client", required=True),
        Parameter("days", Kind.DAYS, "How many days", default=30),
        Parameter("jti", Kind.UUID, "The token"),
        Parameter("since", Kind.MOMENT, "From when on"),
        Parameter("size", Kind.NUMBER, "How many"),
    ),
)


def test_reads_each_kind() -> None:
    """Numbers, ids and moments come out as such; what is left out has its default."""
    given = {"client": "a b", "jti": JTI, "since": "-1d", "size": "7"}

    assert given_values(REPORT, given, now=NOW) == {
        "client": "a b",
        "days": 30,
        "jti": UUID(JTI),
        "since": NOW - timedelta(days=1),
        "size": 7,
    }


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "client is needed: The client"),
        ({"client": ""}, "client is needed"),
        ({"client": "a", "clients": "b"}, "no parameter clients; there are: client, days"),
        ({"client": "\x00"}, "printable"),
        ({"client": "x" * 3000}, "at most 2048"),
        ({"client": "a", "days": "-1"}, "from 0 to 36500"),
        ({"client": "a", "days": "36501"}, "from 0 to 36500"),
        ({"client": "a", "days": "1.5"}, "whole number"),
        ({"client": "a", "size": "9" * 30}, "from 0 to 1000000"),
        ({"client": "a", "size": "²"}, "whole number"),
        ({"client": "a", "jti": "x"}, "a UUID"),
        ({"client": "a", "since": "yesterday"}, "2026-03-03T12:00:00Z"),
    ],
)
def test_refuses_with_a_hint(given: dict[str, str], says: str) -> None:
    """The message says what would be understood."""
    with pytest.raises(UnusableParameter, match=says):
        given_values(REPORT, given, now=NOW)


def test_reports_are_told_apart() -> None:
    """Numbers, names and parameter names are unique, and come in the order of the numbers."""
    numbers = [report.number for report in REPORTS]

    assert numbers == sorted(set(numbers))
    assert len({report.name for report in REPORTS}) == len(REPORTS)
    for report in REPORTS:
        assert len({one.name for one in report.parameters}) == len(report.parameters)
        assert report_named(report.name) is report


def test_an_unknown_report_is_no_report() -> None:
    """The message lists those there are."""
    with pytest.raises(KeyError, match="client-inventory"):
        report_named("everything")
