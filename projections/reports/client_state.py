"""The configuration of every client at the position asked for: relations to build reports on.

A fact counts until the next event that says it anew: the latest one up to then is in force. `None`
facts are absent from `detail`, so each fold names the topics that speak about it.
"""

_TOPICS = (
    "registered",
    "secret_added",
    "secret_retired",
    "scopes_changed",
    "grant_types_changed",
    "audiences_changed",
    "owner_changed",
    "token_policy_changed",
    "redirects_changed",
    "refresh_policy_changed",
    "delegation_changed",
    "authentication_changed",
    "authorization_details_types_changed",
    "renamed",
    "registration_changed",
    "registration_token_set",
    "disabled",
    "enabled",
)
CLIENT_TOPICS = tuple(f"client.{name}" for name in _TOPICS)
"""What changes a client: all its topics but client.used, which tells of its use."""

_LIST = ", ".join(f"'{topic}'" for topic in CLIENT_TOPICS)

CLIENT_EVENTS = f"""
client_events AS NOT MATERIALIZED (
    SELECT * FROM events WHERE topic <> 'token.issued' AND topic IN ({_LIST})
)"""  # constants of this file
"""Relation `client_events`: administrative acts on clients."""


def _latest(fact: str, *topics: str, text: bool = False) -> str:
    arrow = "->>" if text else "->"
    spoken = ", ".join(f"'client.{topic}'" for topic in ("registered", *topics))
    return (
        f"(array_agg((detail {arrow} '{fact}') ORDER BY position DESC)"
        f" FILTER (WHERE topic IN ({spoken})))[1] AS {fact}"
    )


CLIENT_STATE = f"""
client_state AS (
    SELECT client_id,
        min(position) AS registered_position,
        min(occurred_at) AS registered_at,
        max(position) AS changed_position,
        (array_agg(occurred_at ORDER BY position DESC))[1] AS changed_at,
        (array_agg(actor ORDER BY position DESC))[1] AS changed_by,
        count(*) AS changes,
        (array_agg(topic ORDER BY position DESC)
            FILTER (WHERE topic IN ('client.registered', 'client.enabled', 'client.disabled')))[1]
            <> 'client.disabled' AS enabled,
        {_latest("name", "renamed", text=True)},
        {_latest("client_type", text=True)},
        {_latest("owner", "owner_changed", text=True)},
        {_latest("grant_types", "grant_types_changed")},
        {_latest("scopes", "scopes_changed")},
        {_latest("audiences", "audiences_changed")},
        {_latest("tokens", "token_policy_changed")},
        {_latest("redirects", "redirects_changed")},
        {_latest("refresh", "refresh_policy_changed")},
        {_latest("delegation", "delegation_changed")},
        {_latest("authentication", "authentication_changed")},
        {_latest("registration", "registration_changed")},
        {_latest("authorization_details_types", "authorization_details_types_changed")}
    FROM client_events GROUP BY client_id
)"""
"""Relation `client_state`, one row a client; needs CLIENT_EVENTS before it. JSON facts are JSON."""

CLIENT_SECRETS = """
client_secrets AS (
    SELECT added.client_id, added.secret_id, added.added_at, added.added_by, retired.usable_until
    FROM (
        SELECT client_id, (detail ->> 'secret_id') AS secret_id, occurred_at AS added_at,
            actor AS added_by
        FROM client_events WHERE topic = 'client.secret_added'
    ) AS added
    LEFT JOIN (
        SELECT client_id, (detail ->> 'secret_id') AS secret_id,
            min(CAST((detail ->> 'usable_until') AS timestamptz)) AS usable_until
        FROM client_events WHERE topic = 'client.secret_retired'
        GROUP BY client_id, (detail ->> 'secret_id')
    ) AS retired
    ON retired.client_id = added.client_id AND retired.secret_id = added.secret_id
)"""
"""Relation `client_secrets`: each secret, and from when on a retired one is of no use."""
