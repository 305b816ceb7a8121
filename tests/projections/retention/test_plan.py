"""What keeps a month: each rule alone, and that nothing keeps a month without any of it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from psycopg import Connection

from domain.provenance import Provenance
from domain.recorded import Recorded
from projections.builds import ensure_tables
from projections.registry import PROJECTIONS
from projections.retention.plan import MonthPlan, months_before, plan
from tests.projections.projecting import catch_up
from tests.projections.recording import Recording
from tests.projections.retention.past import (
    BEFORE,
    LATER,
    MONTH,
    MONTH_BEFORE,
    THEN,
    family,
    living_family,
    make_month_before,
    token,
    unexpired_token,
)
from tests.projections.retention.past import (
    session as a_session,
)

Past = Callable[[], list[Recorded]]
_YEARS = 4 * 366 * 24 * 3600


def _planned(connection: Connection[Any], months: int | None = 12, now: Any = LATER) -> Any:
    found = plan(connection, retention_months=months, now=now)
    return {one.month.partition: one for one in found}


def _ended_family() -> list[Recorded]:
    ended = living_family()
    ended.revoke(by="operator-1", reason="left", provenance=Provenance(THEN, "req_2"))
    return [ended]


def _ended_session() -> list[Recorded]:
    ended = a_session(lifetime=_YEARS)
    ended.end(by="alice", reason="logout", provenance=Provenance(THEN, "req_2"))
    return [ended]


def _prolonged_session() -> list[Recorded]:
    again = a_session()
    again.authenticate_again(
        methods=("pwd",),
        lifetime=timedelta(seconds=_YEARS),
        provenance=Provenance(THEN, "req_2"),
    )
    return [again]


LEAVES: dict[str, Past] = {
    "tokens that expired": lambda: [token(), token()],
    "a family that expired": lambda: [family()],
    "a family that was revoked": _ended_family,
    "a session that expired": lambda: [a_session()],
    "a session that ended": _ended_session,
}
STAYS: dict[str, tuple[Past, str]] = {
    "a living family": (lambda: [living_family()], "living families of refresh tokens: 1"),
    "a living session": (lambda: [a_session(lifetime=_YEARS)], "sessions that live"),
    "a session that a later login prolonged": (_prolonged_session, "sessions that live, or"),
    "an unexpired token": (lambda: [unexpired_token()], "unexpired tokens: 1"),
}


@pytest.mark.parametrize("name", LEAVES)
def test_leaves(recording: Recording, session: Connection[Any], name: str) -> None:
    """Nothing living is in the month: it may leave."""
    recording.record(*LEAVES[name]())
    catch_up(recording.database_url)
    found: MonthPlan = _planned(session)[MONTH]

    assert found.kept_by == ()
    assert (found.older, found.leaves) == (True, True)
    assert found.first_position == 1


@pytest.mark.parametrize("name", STAYS)
def test_stays(recording: Recording, session: Connection[Any], name: str) -> None:
    """One living thing keeps the month, and is named."""
    past, why = STAYS[name]
    recording.record(token(), *past())
    catch_up(recording.database_url)
    found: MonthPlan = _planned(session)[MONTH]

    assert len(found.kept_by) == 1
    assert found.kept_by[0].startswith(why)


def test_a_session_that_a_living_family_names(
    recording: Recording, session: Connection[Any]
) -> None:
    """An expired session stays as long as a family of it lives: ending it must still cut that."""
    make_month_before(session)
    expired = a_session(BEFORE)
    recording.record(expired, living_family(of=expired))
    catch_up(recording.database_url)

    assert _planned(session)[MONTH_BEFORE].kept_by == (
        "sessions that live, or that a living family names: 1",
    )


def test_an_older_month_stays(recording: Recording, session: Connection[Any]) -> None:
    """What is younger than a month that stays, stays."""
    make_month_before(session)
    recording.record(living_family(BEFORE), token())
    catch_up(recording.database_url)

    assert _planned(session)[MONTH].kept_by == (f"an older month stays: {MONTH_BEFORE}",)


def test_streams_that_went_on(recording: Recording, session: Connection[Any]) -> None:
    """A month in whose streams something was recorded since the limit is not old yet."""
    make_month_before(session)
    recording.record(token(BEFORE))
    catch_up(recording.database_url)
    found: MonthPlan = _planned(session, months=1, now=THEN)[MONTH_BEFORE]

    assert found.older
    assert found.kept_by == (f"its streams went on until {THEN:%Y-%m-%d}",)


def test_read_models_that_are_behind(recording: Recording, session: Connection[Any]) -> None:
    """What lives is asked of the read models, which must know all of the month."""
    recording.record(token())
    catch_up(recording.database_url)
    recording.record(token())
    found: MonthPlan = _planned(session)[MONTH]

    assert len(found.kept_by) == 1
    assert "complete to 1 only" in found.kept_by[0]


def test_months_that_are_not_old(recording: Recording, session: Connection[Any]) -> None:
    """The present month, one to come, a younger one, an empty one; all of them where no setting
    says otherwise. The directory partition is none of them.
    """
    ensure_tables(session, PROJECTIONS)
    recording.record(token())
    catch_up(recording.database_url)

    assert _planned(session, now=THEN)[MONTH].kept_by == ("the present month",)
    assert _planned(session, now=THEN - timedelta(days=32))[MONTH].kept_by == ("a month to come",)
    assert _planned(session, now=THEN + timedelta(days=45))[MONTH].kept_by == (
        "younger than the setting",
    )
    assert {one.kept_by for one in _planned(session).values()} == {(), ("it is empty",)}
    assert {one.kept_by for one in _planned(session, months=None).values()} == {
        ("GRANTLEDGER_RETENTION_MONTHS is not set: kept for ever",)
    }
    assert not any("directory" in name for name in _planned(session))


@pytest.mark.parametrize(
    ("months", "first"),
    [(1, "2026-02-01"), (2, "2026-01-01"), (3, "2025-12-01"), (15, "2024-12-01")],
)
def test_whole_months(months: int, first: str) -> None:
    """The limit is the first of a month, across the end of a year too."""
    march = THEN.replace(year=2026, month=3, day=31)

    assert f"{months_before(march, months):%Y-%m-%d}" == first
