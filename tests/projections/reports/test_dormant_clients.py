"""Report 4: who has live credentials and does nothing."""

from typing import Any

from psycopg import Connection

from domain.client_configuration import ClientType, Redirects
from domain.client_usage import ClientUsage
from projections.reports.dormant_clients import DORMANT_CLIENTS
from tests.builders import stream_id
from tests.projections.recording import Recording
from tests.projections.reports.asked import asked
from tests.projections.reports.story import Story

DAY = 24 * 60


def test_tells_who_was_not_used_for_long(recording: Recording, session: Connection[Any]) -> None:
    """Use is a token issued or a request that authenticated; who has no credential is left out."""
    story = Story(recording)
    clients = {name: story.client(name) for name in ("used", "idle", "asks", "off", "without")}
    app = story.client(
        "app",
        client_type=ClientType.PUBLIC,
        grant_types=("authorization_code",),
        redirects=Redirects(redirect_uris=("https://client.example/callback",)),
    )
    for name in ("used", "idle", "asks", "off"):
        clients[name].add_secret(
            secret_id=f"{name}-1", pepper_id="p", verifier="v", provenance=story.act()
        )
        story.record(clients[name])
    story.machine_token(clients["idle"])
    last_idle = story.now
    clients["off"].disable(story.act())
    story.record(clients["off"])
    early = story.position
    usage = ClientUsage.start(
        stream_id(), client_id="asks", process="p", day="d", provenance=story.act(minutes=95 * DAY)
    )
    usage.used(last_at=story.now, by_endpoint={"introspect": 1}, provenance=story.act())
    story.record(usage)
    story.machine_token(clients["used"])
    story.settle()
    rows = asked(session, DORMANT_CLIENTS, as_of=story.now, days=90)

    registered = {"idle": 2, "app": 6}
    made = {name: last_idle.replace(minute=minute) for name, minute in registered.items()}
    assert rows == [
        ("app", "", None, "public", None, 0, made["app"], None, 95),
        ("idle", "", None, "confidential", None, 1, made["idle"], last_idle, 95),
    ]
    assert app.enabled
    assert asked(session, DORMANT_CLIENTS, as_of=early, days=90) == []
    assert [row[0] for row in asked(session, DORMANT_CLIENTS, as_of=early, days=0)] == [
        *("app", "asks", "idle", "used"),
    ]
