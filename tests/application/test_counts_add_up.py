"""Whatever goes wrong in whatever order, each refusal and each use is recorded exactly once."""

import asyncio
from collections import Counter
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from application.denials import KEYS
from domain.denial_log import MANY
from tests.application.fakes import Fault, MemoryLog
from tests.application.test_denials import Gate, a_denial
from tests.application.test_usage import Counting


@dataclass(frozen=True)
class Round:
    """Some are refused, or use a client, each so many times; time goes by; what waits is recorded,
    the log failing as it likes.
    """

    times: dict[int, int]
    seconds: float
    saves: list[Fault | None]
    loads: list[bool]
    everything: bool


ROUNDS = st.lists(
    st.builds(
        Round,
        st.dictionaries(st.integers(0, 3), st.integers(1, 9)),
        st.sampled_from([0, 0.1, 1, 60, 4000, 90_000]),
        st.lists(st.sampled_from([None, *Fault]), max_size=4),
        st.lists(st.booleans(), max_size=4),
        st.booleans(),
    ),
    max_size=12,
)


def fail_as(log: MemoryLog, plan: Round | None = None) -> None:
    """Let `log` fail as `plan` says, and at nothing that was planned before."""
    log.save_faults.clear()
    log.load_faults.clear()
    if plan is not None:
        log.save_faults.extend(plan.saves)
        log.load_faults.extend(plan.loads)


@given(rounds=ROUNDS)
def test_refusals_add_up(rounds: list[Round]) -> None:
    """At no time is more recorded than was refused, and in the end as much, cause by cause; each
    event's span holds its refusals.
    """

    async def run() -> None:
        gate, expected = Gate(), Counter[str]()
        for plan in rounds:
            for number, times in plan.times.items():
                gate.refuse(a_denial(number), times=times)
                expected[f"client-{number}"] += times
            gate.clock.advance(seconds=plan.seconds)
            fail_as(gate.log, plan)
            await gate.flush(everything=plan.everything)

            assert gate.counts <= expected

        fail_as(gate.log)
        await gate.flush(everything=True)

        assert gate.counts == expected
        assert all(event.first_at <= event.last_at for event in gate.recorded)

    asyncio.run(run())


@settings(max_examples=25)
@given(plans=st.lists(st.tuples(st.integers(1, 2 * KEYS), ROUNDS), max_size=3))
def test_refusals_of_too_many_add_up(plans: list[tuple[int, list[Round]]]) -> None:
    """The sum is right as well where there are too many clients and addresses to tell apart."""

    async def run() -> None:
        gate, total = Gate(), 0
        for several, rounds in plans:
            for _ in range(several):
                gate.refuse(a_denial(total))
                total += 1
            for plan in rounds:
                gate.clock.advance(seconds=plan.seconds)
                fail_as(gate.log, plan)
                await gate.flush(everything=plan.everything)
        fail_as(gate.log)
        await gate.flush(everything=True)

        assert gate.counts.total() == total
        assert all(count == 1 for client, count in gate.counts.items() if client != MANY)

    asyncio.run(run())


@given(rounds=ROUNDS)
def test_uses_add_up(rounds: list[Round]) -> None:
    """At no time is more recorded than was used, and in the end as much, client by client."""

    async def run() -> None:
        counting, expected = Counting(), Counter[str]()
        for plan in rounds:
            for number, times in plan.times.items():
                counting.use(f"client-{number}", times=times)
                expected[f"client-{number}"] += times
            counting.clock.advance(seconds=plan.seconds)
            fail_as(counting.log, plan)
            await counting.recorder.flush()

            assert counting.counts <= expected

        fail_as(counting.log)
        await counting.recorder.flush()

        assert counting.counts == expected

    asyncio.run(run())
