"""GET /reports: who may ask, in which formats, and what is refused."""

import csv
import io
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from api import reports
from api.composition import Service
from api.read_models import ReadModels
from application.clock import SystemClock
from application.errors import InvalidRequest
from projections.reports.registry import REPORTS, report_named
from tests.builders import POLICY, a_client
from tests.http.live import Live
from tests.projections.projecting import catch_up
from tests.projections.recording import Recording
from tests.waiting import eventually

INVENTORY = "/reports/client-inventory"


@pytest.fixture
def recording(database_url: str) -> Iterator[Recording]:
    """The log of a fresh database."""
    with Recording(database_url) as log:
        yield log


@pytest.mark.parametrize("path", ["/reports", INVENTORY])
def test_needs_the_scope(live: Live, path: str) -> None:
    """Without a token 401, without the scope 403."""
    assert live.http.get(path).status_code == 401
    assert live.http.get(path, headers=live.without_scope()).status_code == 403


def test_lists_the_reports(live: Live) -> None:
    """Each with its question, its parameters and the meaning of its columns."""
    listed = live.http.get("/reports", headers=live.bearer()).json()

    assert [one["name"] for one in listed] == [report.name for report in REPORTS]
    (inventory,) = [one for one in listed if one["name"] == "client-inventory"]
    assert inventory["parameters"][0]["name"] == "owner"
    assert "client_id" in inventory["columns"]


def test_answers_in_each_format(live: Live) -> None:
    """The same rows as JSON, CSV and Parquet, of the moment that was asked for."""
    live.register("inventoried", name="=1+1", scopes=["mcp"])
    eventually(live.projected)
    as_of = live.http.get(INVENTORY, headers=live.bearer()).json()["as_of"]["position"]
    got = {
        form: live.http.get(
            INVENTORY, headers=live.bearer(), params={"as_of": as_of, "format": form}
        )
        for form in ("json", "csv", "parquet")
    }
    rows = got["json"].json()["rows"]
    table = pq.read_table(pa.BufferReader(got["parquet"].content))
    lines = {row["client_id"]: row for row in csv.DictReader(io.StringIO(got["csv"].text))}

    assert [answer.status_code for answer in got.values()] == [200, 200, 200]
    assert table["client_id"].to_pylist() == [row["client_id"] for row in rows] == list(lines)
    assert got["csv"].headers["content-type"] == "text/csv; charset=utf-8"
    assert got["csv"].headers["content-disposition"].endswith('"client-inventory.csv"')
    assert {answer.headers["cache-control"] for answer in got.values()} == {"no-store"}
    # A spreadsheet must not compute what a stranger called a client.
    assert lines["inventoried"]["name"] == "'=1+1"
    assert json.loads(table.schema.metadata[b"grantledger"])["as_of"]["position"] == as_of


def test_the_past_is_another_answer(live: Live) -> None:
    """As of the first position there is no client yet."""
    answer = live.http.get(INVENTORY, headers=live.bearer(), params={"as_of": "0"})

    assert answer.json()["rows"] == []


@pytest.mark.parametrize(
    ("path", "query", "status", "says"),
    [
        (INVENTORY, "as_of=yesterday", 400, "2026-03-03T12:00:00Z"),
        (INVENTORY, "format=xml", 400, "format"),
        (INVENTORY, "owners=a", 400, "no parameter owners"),
        (INVENTORY, "owner=a&owner=b", 400, "more than once"),
        (INVENTORY, "owner=%00", 400, "printable"),
        (INVENTORY, "owner=%F0%9F%98%80", 200, ""),
        ("/reports/everything", "", 404, "there are"),
    ],
)
def test_refusals(live: Live, path: str, query: str, status: int, says: str) -> None:
    """An OAuth error that says what would be understood."""
    answer = live.http.get(f"{path}?{query}", headers=live.bearer())

    assert answer.status_code == status, answer.text
    if status != 200:
        assert says in answer.json()["error_description"]


REPORTED: dict[str, dict[str, str]] = {
    "live-tokens": {"client_id": "reported"},
    "subject-access": {"subject": "reported"},
    "issuance": {"client_id": "reported", "verdict": "new"},
    "denials": {"client_id": "reported"},
    "revocation-latency": {},
    "delegation-depth": {},
    "reuse-incidents": {},
}


def test_what_the_service_did_is_reported(live: Live) -> None:
    """A token and a refusal of the running service stand in the reports about them."""
    client_id, secret = live.register("reported", scopes=["mcp"])
    live.token((client_id, secret))
    live.ask_token((client_id, "not the secret"))

    def rows(name: str) -> Any:
        answer = live.http.get(f"/reports/{name}", headers=live.bearer(), params=REPORTED[name])
        assert answer.status_code == 200, answer.text
        return answer.json()["rows"]

    eventually(lambda: rows("denials"))  # refusals wait a moment for others like them
    told = {name: rows(name) for name in REPORTED}

    assert [row["state"] for row in told["live-tokens"]] == ["live"]
    assert [row["part"] for row in told["subject-access"]] == ["subject"]
    assert [row["tokens"] for row in told["issuance"]] == [1]
    assert [row["reason"] for row in told["denials"]] == ["wrong secret"]


def test_how_far_read_models_are_behind_is_told_of_now(live: Live) -> None:
    """log-health tells it where now is asked, and not of the past, where nobody knows."""
    eventually(live.projected)
    told = {
        params.get("as_of"): live.http.get(
            "/reports/log-health", headers=live.bearer(), params=params
        )
        for params in ({}, {"as_of": "1"})
    }
    sections = {
        asked: {row["section"] for row in answer.json()["rows"]} for asked, answer in told.items()
    }

    assert "projection" in sections[None]
    assert "projection" not in sections["1"]


@pytest.mark.parametrize(
    ("limit", "value", "says"),
    [("MAX_ROWS", 0, "more than 0 rows"), ("REPORT_SECONDS", 0.001, "takes longer than")],
)
async def test_what_is_too_large_or_too_slow_is_refused(
    recording: Recording, monkeypatch: pytest.MonkeyPatch, limit: str, value: float, says: str
) -> None:
    """The refusal names the command that has neither bound."""
    recording.record(a_client())
    recording.issue(300)
    catch_up(recording.database_url)
    monkeypatch.setattr(reports, limit, value)
    read_models = ReadModels(recording.database_url)
    service = cast(
        "Service", SimpleNamespace(clock=SystemClock(), policy=POLICY, read_models=read_models)
    )
    try:
        with pytest.raises(InvalidRequest, match=says) as refused:
            await reports.answered(service, report_named("log-health"), {}, None)
    finally:
        await read_models.close()

    assert "grantledger report log-health" in refused.value.description
