"""The alarm of a leaked key: it stands while the key verifies, and is answered from few rows."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import Connection

from domain.forgery_log import NOT_RECORDED, Forgery, ForgeryLog, Presentation
from domain.provenance import Provenance
from projections.alarms import ALARM_SOURCES, Alarm, standing
from tests.builders import AT_NOON, NOON, a_key, stream_id
from tests.projections.projecting import catch_up
from tests.projections.recording import Recording

(SOURCE,) = (source for source in ALARM_SOURCES if source.name == "forged_tokens")


def forged(recording: Recording, kid: str, *moments: datetime, count: int = 1) -> None:
    """Record that tokens that `kid` signed were presented at `moments`."""
    log = ForgeryLog.start(stream_id(), process="p-1", day="2026-03-03", provenance=AT_NOON)
    for moment in moments:
        log.present(
            Forgery(kid, (NOT_RECORDED,)),
            Presentation("introspect", "", "", None),
            jtis=(),
            count=count,
            first_at=moment,
            last_at=moment,
            provenance=AT_NOON,
        )
    recording.record(log)


def found(recording: Recording, session: Connection[Any]) -> list[Alarm]:
    """Return the alarms that stand once all is projected."""
    catch_up(recording.database_url)
    return standing(SOURCE, session)


def test_one_alarm_a_key(recording: Recording, session: Connection[Any]) -> None:
    """Each key that signed a forged token has one alarm: how many tokens, and since when; a clean
    key has none.
    """
    recording.record(a_key("key-1"), a_key("key-2"), a_key("key-3"))
    forged(recording, "key-1", NOON + timedelta(hours=1), NOON, count=600)
    forged(recording, "key-2", NOON + timedelta(hours=2))
    first, second = found(recording, session)

    assert first.found == (
        "the signing key key-1 has leaked: it signed 1,200 tokens that this service did not issue"
        " so (not recorded)"
    )
    assert (first.since, second.since) == (NOON, NOON + timedelta(hours=2))
    assert "key-2 has leaked: it signed a token that" in second.found
    assert "docs/operations.md" in first.fix


def test_stands_until_the_key_verifies_no_more(
    recording: Recording, session: Connection[Any]
) -> None:
    """A key that is retired and verifies on keeps its alarm; once it has ended, it has none."""
    ended, going = a_key("key-1"), a_key("key-2")
    recording.record(ended, going)
    forged(recording, "key-1", NOON)
    forged(recording, "key-2", NOON)
    before = len(found(recording, session))
    now = datetime.now(UTC)
    ended.retire(verify_until=now - timedelta(seconds=1), provenance=Provenance(now, "req_1"))
    going.retire(verify_until=now + timedelta(hours=1), provenance=Provenance(now, "req_1"))
    recording.record(ended, going)
    (left,) = found(recording, session)

    assert before == 2
    assert "key-2" in left.found


def test_a_revoked_key_has_no_alarm(recording: Recording, session: Connection[Any]) -> None:
    """What a revoked key signed verifies nowhere here: its alarm ends with it, at once."""
    key = a_key("key-1")
    recording.record(key)
    forged(recording, "key-1", NOON)
    before = len(found(recording, session))
    key.revoke(AT_NOON)
    recording.record(key)

    assert (before, found(recording, session)) == (1, [])


def test_is_quick_on_a_large_trail(recording: Recording, session: Connection[Any]) -> None:
    """However many events the trail has, few rows are read: none of it is scanned."""
    recording.record(a_key("key-1"))
    recording.issue(50)
    forged(recording, "key-1", *[NOON + timedelta(minutes=n) for n in range(200)])
    catch_up(recording.database_url)
    session.execute("SET enable_seqscan = off")
    (plan,) = session.execute(
        b"EXPLAIN (ANALYZE, FORMAT JSON) " + SOURCE.query.statement.as_string().encode()
    ).fetchall()[0]

    assert _scanned(plan[0]["Plan"]) <= {"forged_tokens_b1", "audit_trail_b1"}
    assert _rows_of(plan[0]["Plan"], "audit_trail_b1") == 0
    assert _rows_of(plan[0]["Plan"], "forged_tokens_b1") == 1


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", ()) for node in _nodes(child))]


def _scanned(plan: dict[str, Any]) -> set[str]:
    return {node["Relation Name"] for node in _nodes(plan) if "Relation Name" in node}


def _rows_of(plan: dict[str, Any], relation: str) -> float:
    """Return how many rows of a relation were looked at, those that did not fit included."""
    return sum(
        float(node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)))
        for node in _nodes(plan)
        if node.get("Relation Name") == relation
    )


def test_nothing_stands_before_the_read_models_are_made(database_url: str) -> None:
    """A database whose read models were never made has no alarm, and is no failure."""
    with psycopg.connect(database_url) as connection:
        assert standing(SOURCE, connection) == []
        assert connection.execute("SELECT 1").fetchone() == (1,)
