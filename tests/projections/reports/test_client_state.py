"""The relations that reports on clients are built on say what the aggregates say, at any time."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hypothesis import given, settings
from pydantic import BaseModel

from domain.client import Client
from domain.client_configuration import (
    Audiences,
    Authentication,
    Delegation,
    Redirects,
    RefreshPolicy,
    Registration,
    TokenPolicy,
)
from projections.reports.client_state import CLIENT_EVENTS, CLIENT_SECRETS, CLIENT_STATE
from projections.reports.report import Column, Report, Row
from projections.session import open_session
from tests.postgres import Postgres
from tests.projections.recording import Recording
from tests.projections.reports.asked import answers, exported, typed
from tests.projections.reports.client_changes import HISTORIES, Change
from tests.projections.reports.story import Story

PLAIN = ("name", "client_type", "owner", "enabled")
NAMES = ("grant_types", "scopes", "authorization_details_types")
MODELS: Mapping[str, type[BaseModel]] = {
    "audiences": Audiences,
    "tokens": TokenPolicy,
    "redirects": Redirects,
    "refresh": RefreshPolicy,
    "delegation": Delegation,
    "authentication": Authentication,
    "registration": Registration,
}
FACTS = (*PLAIN, *NAMES, *MODELS)
TIMES = ("registered_at", "changed_at", "changed_by", "changes")


def _report(columns: tuple[str, ...], sql: str) -> Report:
    described = tuple(Column(name, name) for name in columns)
    return Report(0, "state", "State", "Which?", "nobody", described, sql)


STATE = _report(
    ("client_id", *FACTS, *TIMES),
    f"WITH {CLIENT_EVENTS}, {CLIENT_STATE}"  # relations of the package
    f" SELECT client_id, {', '.join((*FACTS, *TIMES))} FROM client_state ORDER BY client_id",
)
SECRETS = _report(
    ("client_id", "secret_id", "added_at", "usable_until"),
    f"WITH {CLIENT_EVENTS}, {CLIENT_SECRETS}"
    " SELECT client_id, secret_id, added_at, usable_until FROM client_secrets"
    " ORDER BY client_id, added_at, secret_id",
)


@dataclass(frozen=True)
class Seen:
    """What the aggregates said right after the event at `position` was recorded."""

    position: int
    states: list[dict[str, Any]]
    secrets: list[Row]


def _seen(story: Story, clients: Mapping[str, Client], changed: Mapping[str, datetime]) -> Seen:
    ordered = [clients[name] for name in sorted(clients)]
    states = [
        {
            "client_id": client.client_id,
            **{name: getattr(client, name) for name in FACTS},
            "registered_at": client.created_on,
            "changed_at": changed[client.client_id],
            "changed_by": "operator-1",
            "changes": client.version,
        }
        for client in ordered
    ]
    secrets: list[Row] = [
        (client.client_id, secret.secret_id, secret.added_at, secret.usable_until)
        for client in ordered
        for secret in client.secrets
    ]
    return Seen(story.position, states, secrets)


def _told(story: Story, history: Sequence[tuple[str, Change]]) -> list[Seen]:
    """Let `history` happen and return what the aggregates said after each change."""
    clients: dict[str, Client] = {}
    changed: dict[str, datetime] = {}
    seen = []
    for name, change in history:
        if name not in clients:
            clients[name] = story.client(name)
        else:
            change(clients[name], story.act())
            if not clients[name].pending_events:
                continue  # nothing new in it
            story.record(clients[name])
        changed[name] = story.now
        seen.append(_seen(story, clients, changed))
    return seen


def _as_aggregate(row: Row) -> dict[str, Any]:
    """Return a row of the state with the values that the aggregate has."""
    facts = dict(zip([column.name for column in STATE.columns], row, strict=True))
    models = {name: model.model_validate(facts[name]) for name, model in MODELS.items()}
    return {**facts, **{name: tuple(facts[name]) for name in NAMES}, **models}


@settings(max_examples=3, deadline=None)
@given(history=HISTORIES)
def test_the_relations_say_what_the_aggregates_said(
    postgres: Postgres, history: list[tuple[str, Change]]
) -> None:
    """In both engines, at positions all along a random history."""
    with (
        postgres.database() as url,
        Recording(url) as recording,
        closing(open_session(url, name="test")) as session,
    ):
        story = Story(recording)
        seen = _told(story, history)
        story.settle()
        with exported(session) as opened:
            # Each position costs four queries: some on the way, and the last.
            for one in (*seen[: -1 : len(seen) // 3 + 1], seen[-1]):
                for report in (STATE, SECRETS):
                    found, in_duckdb = answers(session, opened, report, as_of=one.position)
                    assert typed(in_duckdb) == typed(found)
                    if report is STATE:
                        assert [_as_aggregate(row) for row in found] == one.states
                    else:
                        assert found == one.secrets
