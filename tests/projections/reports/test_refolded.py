"""The directory made of rows of the audit trail: one row that does not fit hides nobody else."""

from typing import Any

from projections.reports.refolded import Told, refolded
from tests.builders import NOON


def _told(topic: str, client_id: str, **detail: Any) -> Told:
    return Told(topic, NOON, client_id, None, "operator", "", detail)


def _registered(client_id: str, **detail: Any) -> Told:
    facts = {"name": "", "client_type": "confidential", "grant_types": [], "scopes": ["mcp"]}
    models: dict[str, Any] = {
        name: {}
        for name in ("audiences", "tokens", "redirects", "refresh", "delegation", "authentication")
    }
    return _told(
        "client.registered",
        client_id,
        **{**facts, **models, "registration": {}, "authorization_details_types": [], **detail},
    )


def test_who_cannot_be_read_is_left_out_alone() -> None:
    """A client whose later row does not fit its class is gone, as in the directory itself."""
    directory = refolded(
        [
            _registered("broken"),
            _registered("never", scopes=7),
            _registered("whole"),
            _told("client.scopes_changed", "broken", scopes=7),
            _told("client.disabled", "broken"),
            _told("client.disabled", "never"),
            _told("client.scopes_changed", "whole", scopes=[]),
        ]
    )

    assert list(directory.clients) == ["whole"]
    assert directory.clients["whole"].scopes == ()
