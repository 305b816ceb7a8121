"""Report 2: which clients there were, and what each was allowed."""

from typing import Any

from psycopg import Connection

from domain.client_configuration import Audiences
from projections.query import answered
from projections.reports.asking import answering
from projections.reports.client_inventory import CLIENT_INVENTORY
from tests.builders import CATALOGUE, NOON, POLICY, a_client, a_principal, later
from tests.projections.projecting import catch_up
from tests.projections.recording import Recording

ALLOWED = ["https://api.example", "hook"]


def _rows(session: Connection[Any], as_of: int | None = None, **given: str) -> list[Any]:
    asking = answering(CLIENT_INVENTORY, given, as_of, now=later(99).occurred_at, policy=POLICY)
    return list(answered(asking, session).rows)


def test_tells_what_each_client_was_allowed_then(
    recording: Recording, session: Connection[Any]
) -> None:
    """The latest fact up to the position counts, whichever event told it, and no later one."""
    billing = a_client(client_id="billing", owner="owner-1", audiences=Audiences(allowed=("hook",)))
    before = recording.record(a_principal(), a_client(), billing)
    billing.set_scopes(("mcp",), catalogue=CATALOGUE, provenance=later(1))
    billing.set_owner(None, provenance=later(2))
    billing.add_secret(secret_id="s-1", pepper_id="pepper-1", verifier="v", provenance=later(3))
    billing.disable(later(4))
    recording.record(billing)
    catch_up(recording.database_url)
    scopes = ["user", "service", "mcp"]
    how = ["client_credentials"]
    reporter = (
        *("reporter", "Reporter", "confidential", True, None, how, scopes, ALLOWED, None, 0),
        *(NOON, NOON, "operator-1"),
    )
    billing_before = (
        *("billing", "Reporter", "confidential", True, "owner-1", how, scopes, ["hook"], None, 0),
        *(NOON, NOON, "operator-1"),
    )
    billing_now = (
        *("billing", "Reporter", "confidential", False, None, how, ["mcp"], ["hook"], None, 1),
        *(NOON, later(4).occurred_at, "operator-2"),
    )

    assert _rows(session, before) == [billing_before, reporter]
    assert _rows(session) == [billing_now, reporter]
    assert _rows(session, before, owner="owner-1") == [billing_before]
    assert _rows(session, owner="owner-1") == []
    assert _rows(session, 0) == []
