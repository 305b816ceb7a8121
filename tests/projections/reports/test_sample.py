"""Report 23: a draw that anybody can repeat."""

import json
from hashlib import md5
from typing import Any

from psycopg import Connection

from projections.audit_trail import OUTCOMES
from projections.reports.sample import PROVISIONING, REVOCATION, SAMPLE, SAMPLED
from tests.builders import CATALOGUE
from tests.projections.recording import Recording
from tests.projections.reports.asked import asked
from tests.projections.reports.story import Story


def _lot(seed: str, position: int) -> str:
    return md5(f"{seed}:{position}".encode(), usedforsecurity=False).hexdigest()


def test_draws_by_seed_and_position(recording: Recording, session: Connection[Any]) -> None:
    """The draw is that of the MD5 of seed and position, from provisioning and revocation alone."""
    story = Story(recording)
    alice = story.principal("alice")
    clients = [story.client(f"client-{number}") for number in range(6)]
    token = story.machine_token(clients[0])  # neither: not in the population
    before = story.position
    clients[1].set_scopes(("mcp",), catalogue=CATALOGUE, provenance=story.act(why="audit"))
    alice.deactivate(story.act())
    story.record(clients[1], alice)
    story.revoked(token)
    story.settle()

    def drawn(seed: str, positions: list[int]) -> list[int]:
        return sorted(positions, key=lambda position: _lot(seed, position))

    early = asked(session, SAMPLE, as_of=before, seed="2026-Q1")
    assert [row[3] for row in early] == drawn("2026-Q1", [1, 2, 3, 4, 5, 6, 7])
    assert {row[1] for row in early} == {7}
    everything = [*range(1, 8), 9, 10, 11]
    rows = asked(session, SAMPLE, as_of=story.now, seed="2026-Q1", size=4)
    assert [row[0] for row in rows] == [1, 2, 3, 4]
    assert {row[1] for row in rows} == {10}
    assert [row[3] for row in rows] == drawn("2026-Q1", everything)[:4]
    others = asked(session, SAMPLE, as_of=story.now, seed="another", size=100)
    assert [row[3] for row in others] == drawn("another", everything)


def test_each_event_comes_with_its_evidence(recording: Recording, session: Connection[Any]) -> None:
    """Position, who, why and every other fact; no verifier of a secret among them."""
    story = Story(recording)
    client = story.client("plain")
    begun = story.now
    client.add_secret(
        secret_id="secret-1",
        pepper_id="pepper-1",
        verifier="0" * 64,
        provenance=story.act(by="operator-2", why="rotation"),
    )
    story.record(client)
    story.settle()

    (row,) = asked(session, SAMPLE, as_of=story.now, seed="1", since=story.now)
    assert row == (
        *(1, 1, PROVISIONING, 2, story.now, story.now, "client.secret_added", "operator-2"),
        *("plain", None, "rotation", "req_story", None),
        '{"pepper_id": "pepper-1", "secret_id": "secret-1"}',
    )
    (registered,) = asked(session, SAMPLE, as_of=story.now, seed="1", until=story.now)
    assert registered[4] == begun
    assert json.loads(registered[-1])["client_type"] == "confidential"


def test_every_topic_that_is_sampled_exists() -> None:
    """A misspelt topic would draw from too few events."""
    assert not set(SAMPLED) - set(OUTCOMES)
    assert set(SAMPLED.values()) == {PROVISIONING, REVOCATION}
