"""As-of answers equal what the service itself answered at that moment, whatever happened.

After each act of a random history the live side is asked: the directory that every replica keeps,
the ledger that decisions load from, and introspection's own rule for tokens. Then each of those
moments is asked for again, by its position and by its time.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import Connection

from api.past_views import FamilyView, client_fields
from api.views import ClientView, KeyView, PrincipalView
from application.directory import LogDirectory
from application.introspection import LivenessService, ended_with, living_token
from application.ledger.ledger import Ledger
from application.ledger.link import Link
from domain.client import Client
from projections.as_of import resolve_in_log
from projections.audit_trail import AUDIT_TRAIL
from projections.builds import ensure_tables
from projections.past import Past
from projections.past_changes import difference
from projections.query import answered
from projections.session import open_session
from tests.postgres import Postgres
from tests.projections.recording import Recording
from tests.properties.histories import ACTS, History

Acts = list[tuple[str, int, int]]
_BEGINNING = (("person", 0, 1), ("register", 0, 1), ("issue", 0, 0), ("start", 0, 0))
_acts = st.lists(
    st.tuples(st.sampled_from(ACTS), st.integers(0, 1), st.integers(0, 3)), min_size=6, max_size=20
)
_numbers = count(1)


@dataclass(frozen=True)
class Answers:
    """All that can be asked for at one moment."""

    clients: list[ClientView]
    principals: list[PrincipalView]
    keys: list[KeyView]
    tokens: dict[str, tuple[str, int]]
    families: dict[str, tuple[str, int, datetime]]


@dataclass(frozen=True)
class Moment:
    """What was answered live, and the configuration behind it, as fields."""

    position: int
    time: datetime
    answers: Answers
    fields: Mapping[str, Mapping[str, Any]]


class Deployment:
    """One database: what the live service would answer, and what is answered later."""

    def __init__(self, url: str, runner: asyncio.Runner) -> None:
        self.log = Recording(url)
        self.connection: Connection[Any] = open_session(url, name="test")
        ensure_tables(self.connection, (AUDIT_TRAIL,))
        self._runner = runner
        self._ledger = Ledger(url)
        self._directory = LogDirectory(Link(url, name="directory"), self._ledger.mapper)
        runner.run(self._ledger.__aenter__())

    def close(self) -> None:
        """Close every connection."""
        self._runner.run(self._directory.close())
        self._runner.run(self._ledger.__aexit__(None, None, None))
        self.connection.close()
        self.log.__exit__()

    def told(self, acts: Acts) -> list[Moment]:
        """Let `acts` happen, and return what the service says after each."""
        history = History(self.log, next(_numbers))
        moments = []
        for name, which, choice in (*_BEGINNING, *acts):
            history.act(name, which, choice)
            moments.append(self._runner.run(self._live(history)))
        return moments

    async def _live(self, history: History) -> Moment:
        await self._directory.refresh()
        answers = Answers(
            [ClientView.of(one) for one in self._directory.clients()],
            [PrincipalView.of(one) for one in self._directory.principals()],
            [KeyView.of(one) for one in self._directory.keys()],
            {str(one.id): await self._token(str(one.id)) for one in history.tokens},
            {one.family_id: await self._family(one.family_id) for one in history.families},
        )
        fields = {one.client_id: client_fields(one) for one in self._directory.clients()}
        head = answered(resolve_in_log(None, now=datetime.now(UTC)), self.connection)
        return Moment(head.position, datetime.now(UTC), answers, fields)

    async def _token(self, jti: str) -> tuple[str, int]:
        service = SimpleNamespace(log=self._ledger, directory=self._directory)
        record = await self._ledger.load(UUID(jti))
        if record.revoked:
            return "revoked", record.version
        living = await living_token(jti, cast("LivenessService", service))
        expired = record.issued.expires_at <= datetime.now(UTC)
        if living:
            return ("expired" if expired else "live"), record.version
        ancestors = [await self._ledger.load(UUID(name)) for name in record.lineage]
        behind = (record, *ancestors)
        ended = not expired and any(ended_with(one, self._directory) for one in behind)
        void = ended or any(ancestor.cut for ancestor in ancestors)
        if void or not expired:
            return ("void" if void else "suspended"), record.version
        return "expired", record.version

    async def _family(self, family_id: str) -> tuple[str, int, datetime]:
        family = await self._ledger.load(UUID(family_id))
        ended = "revoked" if family.revoked else "expired"
        state = "live" if family.live(datetime.now(UTC)) else ended
        return state, family.generation, family.expires_at

    def past(self, asked: int | datetime, then: Moment) -> Answers:
        """Return what is answered now about `asked`."""
        point = answered(resolve_in_log(asked, now=datetime.now(UTC)), self.connection)
        past = Past(point)
        assert point.position == then.position
        return Answers(
            [ClientView.of(one) for one in answered(past.clients(), self.connection)],
            [PrincipalView.of(one) for one in answered(past.principals(), self.connection)],
            [KeyView.of(one) for one in answered(past.keys(), self.connection)],
            {jti: self._past_token(past, jti) for jti in then.answers.tokens},
            {name: self._past_family(past, name) for name in then.answers.families},
        )

    def _past_token(self, past: Past, jti: str) -> tuple[str, int]:
        found = answered(past.token(UUID(jti)), self.connection)
        assert found is not None
        return found.state, found.token.version

    def _past_family(self, past: Past, family_id: str) -> tuple[str, int, datetime]:
        found = answered(past.family(UUID(family_id)), self.connection)
        assert found is not None
        view = FamilyView.of(found)
        return view.state, view.generation, view.expires_at


@pytest.fixture(scope="module")
def deployment(postgres: Postgres) -> Iterator[Deployment]:
    """One for all histories: names are of their own, so that each is a later part of the log."""
    with (
        postgres.database() as url,
        asyncio.Runner() as runner,
        closing(Deployment(url, runner)) as made,
    ):
        yield made


@settings(max_examples=4, deadline=None)
@given(acts=_acts)
def test_the_past_is_what_was_answered_live(deployment: Deployment, acts: Acts) -> None:
    """Whatever happens later, each moment is answered as it was, by position and by time."""
    moments = deployment.told(acts)

    for then in moments:
        assert deployment.past(then.time, then) == then.answers
        by_position = deployment.past(then.position, then)
        assert by_position.clients == then.answers.clients
        assert by_position == then.answers


@settings(max_examples=4, deadline=None)
@given(acts=_acts, cut=st.integers(0, 23))
def test_a_difference_leads_from_the_one_to_the_other(
    deployment: Deployment, acts: Acts, cut: int
) -> None:
    """The fields of a difference are exactly those that the live service showed differently."""
    moments = deployment.told(acts)
    first, last = moments[min(cut, len(moments) - 1)], moments[-1]

    for client_id, configured in last.fields.items():
        asking = difference(
            Client.stream(client_id),
            client_fields,
            since=first.position,
            until=last.time,
            now=datetime.now(UTC),
        )
        found = answered(asking, deployment.connection)
        assert found is not None
        before = _flat(first.fields.get(client_id, {}))
        after = _flat(configured)
        names = {name for name in before | after if before.get(name) != after.get(name)}
        told = {one.field: (one.before, one.after) for one in found.fields}
        assert told == {name: (before.get(name), after.get(name)) for name in names}
        positions = {act.position for act in found.acts}
        assert all(set(one.positions) <= positions and one.positions for one in found.fields)


def _flat(value: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, part in value.items():
        nested = isinstance(part, Mapping) and part
        flat |= _flat(part, f"{path}{name}.") if nested else {f"{path}{name}": part}
    return flat
