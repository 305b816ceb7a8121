"""Cells of CSV: nothing that a spreadsheet would compute, nothing lost."""

import csv
import io
from datetime import UTC, datetime
from typing import Any

import pytest

from api.report_formats import Format, written
from projections.as_of import AsOf
from projections.reports.report import Answer, Column, Report
from tests.builders import NOON

REPORT = Report(0, "one", "One", "Which?", "nobody", (Column("it", "It"),), "SELECT 1")


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1+1", "'-1+1"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("\uff0b1", "'\uff0b1"),
        ("\uff0d1", "'\uff0d1"),
        ("\uff20SUM(1)", "'\uff20SUM(1)"),
        (["=1+1", "mcp"], "'=1+1 mcp"),
        ('a "quoted", name\nof two lines', 'a "quoted", name\nof two lines'),
        ("\x9b31m", "<U+009B>31m"),
        ("gpj\u202eexe", "gpj<U+202E>exe"),
        (["a\u200b"], "a<U+200B>"),
        (-1, "-1"),
        (None, ""),
        (True, "true"),
        (["user", "mcp"], "user mcp"),
        ({"a": ["=1"]}, '{"a":["=1"]}'),
        (datetime(2026, 3, 3, 12, tzinfo=UTC), "2026-03-03T12:00:00+00:00"),
    ],
)
def test_cells(value: Any, cell: str) -> None:
    """Text that a spreadsheet takes for a formula has an apostrophe before it; numbers have not."""
    answer = Answer(REPORT, AsOf(1, NOON), NOON, [(value,)])
    text = written(answer, Format.CSV).decode()

    assert list(csv.reader(io.StringIO(text, newline=""))) == [["it"], [cell]]


@pytest.mark.parametrize("separator", [";", "\t"])
def test_no_cell_begins_within_another(separator: str) -> None:
    """Where a spreadsheet parts at semicolons or tabs, a text with one is still one cell."""
    answer = Answer(REPORT, AsOf(1, NOON), NOON, [(f"name{separator}=1+1",)])
    text = written(answer, Format.CSV).decode()
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))

    assert rows == [["it"], [f"name{separator}=1+1"]]
