"""Report 17: how long revocations took until they were recorded."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from psycopg import Connection

from domain.client_configuration import Redirects
from domain.provenance import Origin
from projections.reports.revocation_latency import REVOCATION_LATENCY
from tests.builders import NOON
from tests.projections.recording import Recording
from tests.projections.reports.asked import asked
from tests.projections.reports.story import Story

THERE = Origin(address="there", user_agent="agent-hash")
NOT_OF_SUMMARIES = (None,) * 8


def after(minutes: float, seconds: float = 0) -> Any:
    """Return the moment so long after noon."""
    return NOON + timedelta(minutes=minutes, seconds=seconds)


def _record_later(session: Connection[Any], seconds: Mapping[int, float]) -> None:
    """Let the events at these positions be recorded so many seconds after they happened."""
    for position, late in seconds.items():
        session.execute(
            "UPDATE read.audit_trail SET recorded_at = occurred_at + make_interval(secs => %s)"
            " WHERE position = %s",
            (late, position),
        )


def test_tells_how_long_each_kind_took(recording: Recording, session: Connection[Any]) -> None:
    """A reuse with the token it cost is one act, as slow as its last event; ranks are nearest."""
    story = Story(recording)
    alice = story.principal("alice")  # 1
    web = story.client(  # 2
        "web",
        grant_types=("authorization_code", "refresh_token", "client_credentials"),
        redirects=Redirects(redirect_uris=("https://client.example/callback",)),
    )
    family, token = story.family(web, alice)  # 3, 4
    machines = [story.machine_token(web) for _ in range(3)]  # 5 to 7
    provenance = replace(story.act(), request_id="req_reuse")  # minute 7
    family.detect_reuse(1, origin=THERE, provenance=provenance)  # 8
    token.revoke(by="system", reason="reuse", provenance=provenance)  # 9
    story.record(family, token)
    before = story.position
    for machine in machines:  # minutes 8 to 10
        story.revoked(machine)  # 10 to 12
    web.disable(story.act(why="leaked"))  # 13, minute 11
    story.record(web)
    story.settle()
    late = {8: 0.25, 9: 0.5, 10: 0.125, 11: 2, 12: 0.0625, 13: -1}
    _record_later(session, late)
    reuse = (
        *("act", "reuse detected", 1, 1, 0, None, None, 0.5, 8, after(7), after(7, 0.5)),
        *("web", "alice", "system", "reuse", "req_reuse"),
    )

    def act(minute: int, position: int, kind: str, tokens: int, *who: Any) -> Any:
        took = late[position]
        return (
            *("act", kind, 1, tokens, 0, None, None, float(took), position, after(minute)),
            *(after(minute, took), "web", *who, "req_story"),
        )

    of_reuse = ("summary", "reuse detected", 1, 1, 0, 0.5, 0.5, 0.5, *NOT_OF_SUMMARIES)
    assert asked(session, REVOCATION_LATENCY, as_of=before) == [of_reuse, reuse]
    whose = ("web", "operator-1", None)
    everything = [
        of_reuse,
        ("summary", "token revoked", 3, 3, 0, 0.125, 2.0, 2.0, *NOT_OF_SUMMARIES),
        ("summary", "client disabled", 1, 0, 0, -1.0, -1.0, -1.0, *NOT_OF_SUMMARIES),
        act(9, 11, "token revoked", 1, *whose),
        reuse,
        act(8, 10, "token revoked", 1, *whose),
        act(10, 12, "token revoked", 1, *whose),
        act(11, 13, "client disabled", 0, None, "operator-1", "leaked"),
    ]
    assert asked(session, REVOCATION_LATENCY, as_of=story.now) == everything
    assert asked(session, REVOCATION_LATENCY, as_of=story.now, most=1) == everything[:4]
    window = {"since": after(10), "until": after(11)}
    assert asked(session, REVOCATION_LATENCY, as_of=story.now, **window) == [
        ("summary", "token revoked", 1, 1, 0, 0.0625, 0.0625, 0.0625, *NOT_OF_SUMMARIES),
        everything[2],
        everything[6],
        everything[7],
    ]


def test_counts_what_no_record_revokes(recording: Recording, session: Connection[Any]) -> None:
    """A detection that names tokens is not the record that they are revoked."""
    story = Story(recording)
    alice = story.principal("alice")
    web = story.client(
        "web",
        grant_types=("authorization_code", "refresh_token"),
        redirects=Redirects(redirect_uris=("https://client.example/callback",)),
    )
    family, token = story.family(web, alice)
    family.revoke(by="alice", reason="logged out", provenance=story.act())
    story.record(family)
    before = story.position
    story.revoked(token)
    story.settle()

    def unrecorded(as_of: Any) -> list[Any]:
        rows = asked(session, REVOCATION_LATENCY, as_of=as_of)
        return [(row[1], row[3], row[4]) for row in rows if row[0] == "summary"]

    assert unrecorded(before) == [("family revoked", 0, 1)]
    assert unrecorded(story.now) == [("family revoked", 0, 0), ("token revoked", 1, 0)]
