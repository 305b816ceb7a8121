"""The columns of an export: those of the audit trail, in types that every engine reads.

`jti` is text and `detail` is JSON text: neither has a type that Trino, Spark, DuckDB and ClickHouse
have in common. Moments are microseconds UTC, which is what PostgreSQL keeps.
"""

import pyarrow as pa

SCHEMA_VERSION = 1
"""Counts up with every change of SCHEMA; an export of another one is left alone."""

_MOMENT = pa.timestamp("us", tz="UTC")
_TEXT, _LIST = pa.string(), pa.list_(pa.string())

SCHEMA = pa.schema(
    [
        pa.field("position", pa.int64(), nullable=False),
        pa.field("occurred_at", _MOMENT, nullable=False),
        pa.field("recorded_at", _MOMENT, nullable=False),
        pa.field("topic", _TEXT, nullable=False),
        pa.field("outcome", _TEXT, nullable=False),
        ("client_id", _TEXT),
        ("subject", _TEXT),
        ("jti", _TEXT),
        ("session_id", _TEXT),
        ("grant_type", _TEXT),
        ("error", _TEXT),
        ("reason", _TEXT),
        ("actor", _TEXT),
        ("kid", _TEXT),
        ("address", _TEXT),
        ("request_id", _TEXT),
        ("traceparent", _TEXT),
        ("scope", _LIST),
        ("audience", _LIST),
        ("family_id", _TEXT),
        ("actors", _LIST),
        ("expires_at", _MOMENT),
        pa.field("detail", _TEXT, nullable=False),
    ]
)

_AS_TEXT = frozenset({"jti", "detail"})
SELECTED = ", ".join(f"{name}::text" if name in _AS_TEXT else name for name in SCHEMA.names)
"""What is selected from the audit trail to become SCHEMA."""
