"""Forged tokens in the record: the first at once, a flood in few events, and none uncounted."""

from datetime import timedelta

import pytest

from application.forged_tokens import KINDS, MOST_JTIS, ForgedTokenRecorder
from application.recorded_token import Circumstances
from domain.forgery_log import MANY, NOT_RECORDED, Forgery, ForgeryLog
from domain.provenance import Provenance
from tests.application.fakes import FakeClock, Fault, MemoryLog, SequentialIds
from tests.builders import NOON, stream_id

UNRECORDED = Forgery("key-1", (NOT_RECORDED,))
JTI = "019cb391-c2fa-7bd5-9a71-cb94b598a865"


class Scene:
    """A recorder with its log and clock, and how a forged token comes."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.clock = FakeClock()
        self.recorder = ForgedTokenRecorder(
            log=self.log, clock=self.clock, ids=SequentialIds(), process="p-1"
        )

    def present(
        self,
        forgery: Forgery = UNRECORDED,
        *,
        jti: object = JTI,
        endpoint: str = "introspect",
        address: str = "address-1",
    ) -> None:
        """Let a forged token be presented now."""
        provenance = Provenance(self.clock.now(), "req_1")
        presented = Circumstances(endpoint, "reporter", address, provenance)
        self.recorder.note(forgery, presented, jti=jti)

    @property
    def recorded(self) -> list[ForgeryLog.ForgedTokenPresented]:
        """Everything that is recorded of forged tokens."""
        return self.log.of(ForgeryLog.ForgedTokenPresented)

    @property
    def count(self) -> int:
        """How many presentations are recorded."""
        return sum(event.count for event in self.recorded)


@pytest.fixture
def scene() -> Scene:
    """A recorder that has nothing to record yet."""
    return Scene()


async def test_the_first_is_recorded_at_once(scene: Scene) -> None:
    """The next flush names key and difference, where it was presented, by whom and from where."""
    scene.present()
    await scene.recorder.flush()
    (event,) = scene.recorded

    assert (event.kid, event.differs) == ("key-1", (NOT_RECORDED,))
    assert (event.endpoint, event.client_id, event.address) == (
        "introspect",
        "reporter",
        "address-1",
    )
    assert (event.jti, event.jtis, event.count) == (JTI, (JTI,), 1)
    assert event.first_at == event.last_at == NOON
    assert event.request_id == "req_1"


async def test_a_minute_of_a_kind_is_one_event(scene: Scene) -> None:
    """More of the same wait for the minute to end, then are one event with count and span; another
    difference, or another key, has its own.
    """
    scene.present()
    for _ in range(50):
        await scene.recorder.flush()
        scene.clock.advance(seconds=1)
        scene.present(address="address-2", endpoint="userinfo")
    scene.present(Forgery("key-2", (NOT_RECORDED,)))
    scene.present(Forgery("key-1", ("exp",)))
    await scene.recorder.flush()
    early = [(event.kid, event.count) for event in scene.recorded]
    scene.clock.advance(seconds=10)
    await scene.recorder.flush()
    last = scene.recorded[-1]

    assert early == [("key-1", 1), ("key-2", 1), ("key-1", 1)]
    assert (last.count, last.differs, last.address) == (50, (NOT_RECORDED,), "address-2")
    assert last.endpoint == "userinfo"
    assert (last.first_at, last.last_at) == (
        NOON + timedelta(seconds=1),
        NOON + timedelta(seconds=50),
    )
    assert len(scene.log.of(ForgeryLog.ForgeryLogStarted)) == 1


async def test_a_flood_of_kinds_fills_neither_memory_nor_log(scene: Scene) -> None:
    """An attacker who varies what differs, and every `jti`, gets few events a minute; the key and
    the count of all of them stay.
    """
    for second in range(59):
        for number in range(200):
            scene.present(Forgery("key-1", (f"m{second}", f"n{number}")), jti=str(stream_id()))
        await scene.recorder.flush()
        scene.clock.advance(seconds=1)
    kept = len(vars(scene.recorder)["_waiting"]) + len(vars(scene.recorder)["_recorded_at"])
    events = len(scene.recorded)
    await scene.recorder.flush(everything=True)

    assert events <= KINDS + 1
    assert kept <= KINDS + 2
    assert scene.count == 59 * 200
    assert {event.kid for event in scene.recorded} == {"key-1"}
    assert (MANY,) in {event.differs for event in scene.recorded}
    assert max(len(event.jtis) for event in scene.recorded) <= MOST_JTIS


@pytest.mark.parametrize("fault", Fault)
async def test_none_is_lost_or_counted_twice(scene: Scene, fault: Fault) -> None:
    """Whether PostgreSQL lost the event or only its answer, the count is right in the end."""
    scene.present()
    scene.log.save_faults.append(fault)
    await scene.recorder.flush()
    scene.present()
    scene.clock.advance(minutes=1)
    await scene.recorder.flush()

    assert scene.count == 2


async def test_shutdown_waits_for_no_minute(scene: Scene) -> None:
    """What was counted within the minute is recorded before the process ends."""
    for _ in range(3):
        scene.present()
        await scene.recorder.flush()
    await scene.recorder.flush(everything=True)

    assert scene.count == 3


@pytest.mark.parametrize("jti", ["a password", 7, None, ["x"], "\0"])
async def test_a_name_that_is_no_uuid_is_not_kept(scene: Scene, jti: object) -> None:
    """The forger writes what they like there: it may be a secret, or what no database takes."""
    scene.present(jti=jti)
    await scene.recorder.flush()
    (event,) = scene.recorded

    assert (event.jti, event.jtis) == (None, ())


async def test_a_clock_that_went_back_holds_nothing_up(scene: Scene) -> None:
    """What was recorded at a later moment does not delay what comes now."""
    scene.present()
    await scene.recorder.flush()
    scene.clock.advance(hours=-1)
    scene.present()
    await scene.recorder.flush()

    assert scene.count == 2


async def test_streams_end_with_the_day(scene: Scene) -> None:
    """No stream grows for ever."""
    for _ in range(2):
        scene.present()
        await scene.recorder.flush()
        scene.clock.advance(days=1)

    assert len(scene.log.of(ForgeryLog.ForgeryLogStarted)) == 2
