"""Ends win against storms of their holders, over several workers, and bind from then on.

`python -m tests.benchmarks.endings` does the same for hundreds of rounds.
"""

import pytest

from tests.benchmarks.endings import KINDS, MOST_SECONDS, Scene
from tests.http.live import Live

CONNECTIONS = 16
ROUNDS = 2
"""One in which clients repeat the predecessor, and one in which they refresh in a loop."""


@pytest.fixture(scope="module")
def scene(live: Live) -> Scene:
    """Grants of people at the service, to be ended."""
    return Scene(live, connections=CONNECTIONS)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_end_wins_against_a_storm(scene: Scene, kind: str) -> None:
    """While a client uses its grant as fast as it can, each kind of end is answered with success in
    time; no use that is sent after that succeeds, and introspection calls nothing of it active.
    """
    counted = await scene.rounds(kind, ROUNDS)

    assert counted.uses > CONNECTIONS
    assert (counted.refused, counted.late_uses, counted.active) == (0, 0, 0), counted.line()
    assert max(counted.seconds) < MOST_SECONDS, counted.line()
