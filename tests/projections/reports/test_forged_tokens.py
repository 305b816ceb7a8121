"""Report 25: forged tokens by key and difference, added up over the events that count them."""

from datetime import timedelta
from typing import Any

from psycopg import Connection

from domain.forgery_log import NOT_RECORDED, Forgery, ForgeryLog, Presentation
from projections.reports.forged_tokens import FORGED_TOKENS
from tests.builders import NOON, a_key, stream_id
from tests.projections.recording import Recording
from tests.projections.reports.asked import asked
from tests.projections.reports.story import Story

HOUR = timedelta(hours=1)


def test_adds_up_forged_tokens(recording: Recording, session: Connection[Any]) -> None:
    """Equal presentations are one row, the most frequent first; the end of a key is told with it,
    as of the moment asked for.
    """
    story = Story(recording)
    key = a_key()
    story.record(key)  # 1
    log = ForgeryLog.start(
        stream_id(), process="p-1", day="2026-03-03", provenance=story.act()
    )  # at minute 1, position 2

    def present(kid: str, differs: tuple[str, ...], count: int, endpoint: str = "admin") -> None:
        provenance = story.act()
        log.present(
            Forgery(kid, differs),
            Presentation(endpoint, "", "there", None),
            jtis=(),
            count=count,
            first_at=story.now,
            last_at=story.now,
            provenance=provenance,
        )
        story.record(log)

    present("key-1", ("exp", "scope"), 2)  # minute 2
    present("key-1", ("exp", "scope"), 3)  # minute 3
    present("key-1", (NOT_RECORDED,), 1, "introspect")  # minute 4
    before = story.position
    key.retire(verify_until=NOON + HOUR, provenance=story.act())  # minute 5
    story.record(key)
    present("key-2", (NOT_RECORDED,), 9)  # minute 6
    story.settle()

    def at(minutes: float) -> Any:
        return NOON + timedelta(minutes=minutes)

    changed = ("key-1", "exp, scope", "admin", None, "there", 5, 2, at(2), at(3))
    unrecorded = ("key-1", NOT_RECORDED, "introspect", None, "there", 1, 1, at(4), at(4))
    other = ("key-2", NOT_RECORDED, "admin", None, "there", 9, 1, at(6), at(6))
    assert asked(session, FORGED_TOKENS, as_of=before) == [
        (*changed, None, True, 6),
        (*unrecorded, None, True, 6),
    ]
    assert asked(session, FORGED_TOKENS, as_of=story.now) == [
        (*other, None, True, 15),
        (*changed, NOON + HOUR, True, 15),
        (*unrecorded, NOON + HOUR, True, 15),
    ]
    assert asked(session, FORGED_TOKENS, as_of=NOON + 2 * HOUR, kid="key-1") == [
        (*changed, NOON + HOUR, False, 6),
        (*unrecorded, NOON + HOUR, False, 6),
    ]
    assert asked(session, FORGED_TOKENS, as_of=story.now, most=1) == [(*other, None, True, 15)]
    assert asked(session, FORGED_TOKENS, as_of=story.now, since=at(5)) == [(*other, None, True, 9)]
    assert asked(session, FORGED_TOKENS, as_of=story.now, until=at(2)) == []
