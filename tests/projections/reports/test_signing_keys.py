"""Report 21: which keys signed what, and when they might."""

from datetime import timedelta
from typing import Any

from psycopg import Connection

from domain.issuance import SigningChoice
from domain.signing_key import SigningKey
from projections.reports.signing_keys import SIGNING_KEYS
from tests.builders import NOON, PUBLIC_JWK
from tests.projections.recording import Recording
from tests.projections.reports.asked import asked
from tests.projections.reports.story import Story

TWO = SigningChoice(kid="key-2", algorithm="ES256")
FORGED = SigningChoice(kid="key-3", algorithm="RS256")


def after(minutes: float) -> Any:
    """Return the moment so long after noon."""
    return NOON + timedelta(minutes=minutes)


def test_tells_the_life_of_each_key(recording: Recording, session: Connection[Any]) -> None:
    """Each key with its period, by whom, and what it signed within it and outside of it."""
    story = Story(recording)
    keys = [
        SigningKey.generate(
            kid=kid, algorithm="ES256", public_jwk=PUBLIC_JWK, provenance=story.act(by="operator-1")
        )
        for kid in ("key-1", "key-2")
    ]
    story.record(*keys)  # minutes 1 and 2
    keys[0].activate(story.act(by="operator-2"))
    story.record(keys[0])  # 3
    client = story.client("reporter")  # 4
    story.machine_token(client)  # 5
    early = story.machine_token(client)  # 6
    before = story.position
    keys[1].activate(story.act(by="operator-3"))
    keys[0].retire(verify_until=after(70), provenance=story.act(by="operator-3"))
    story.record(*keys)  # 7, 8
    story.machine_token(client)  # 9, by a key that is retired
    story.machine_token(client, signing=TWO)  # 10
    story.machine_token(client, signing=FORGED)  # 11
    story.settle()
    one = ("key-1", "ES256")
    generated = (after(1), "operator-1", after(3), "operator-2")
    unused = ("key-2", "ES256", "generated", after(2), "operator-1", *[None] * 8)

    assert asked(session, SIGNING_KEYS, as_of=before) == [
        (*one, "active", *generated, *[None] * 5, 2, 0, after(5), after(6), after(66)),
        (*unused[:12], 0, 0, None, None, None),
    ]
    assert early.issued.expires_at == after(66)
    ended = (after(8), "operator-3", None, None, after(70))
    second = ("key-2", "ES256", "active", after(2), "operator-1", after(7), "operator-3")
    now = [
        (*one, "retired", *generated, *ended, 3, 1, after(5), after(9), after(69)),
        (*second, *[None] * 5, 1, 0, after(10), after(10), after(70)),
        ("key-3", "RS256", "unknown", *[None] * 9, 1, 0, after(11), after(11), after(71)),
    ]
    assert asked(session, SIGNING_KEYS, as_of=story.now) == now
    later = asked(session, SIGNING_KEYS, as_of=after(70))
    assert later == [(*one, "ended", *now[0][3:]), *now[1:]]


def test_tells_of_a_revoked_key(recording: Recording, session: Connection[Any]) -> None:
    """Who revoked it and when, and that nothing of it verifies, whatever a retirement had said."""
    story = Story(recording)
    key = SigningKey.generate(
        kid="key-1", algorithm="ES256", public_jwk=PUBLIC_JWK, provenance=story.act()
    )
    key.activate(story.act())
    key.retire(verify_until=after(70), provenance=story.act())
    key.revoke(story.act(by="operator-4"))  # 4
    story.record(key)
    story.settle()
    (row,) = asked(session, SIGNING_KEYS, as_of=story.now)

    assert (row[0], row[2], row[9], row[10]) == ("key-1", "revoked", after(4), "operator-4")
