"""The schema of the log, as numbered migrations that run once each, in one transaction each.

- One table, one total order. `notification_id` is the position: contiguous, and given under an
  advisory lock that is held until commit, so that a reader that has seen position n will never
  find a new event at or below n.
- Partitions: `directory` holds the ids whose first byte is 00; one partition a month holds the
  UUIDv7 made in it. Attached, not created in place: that would lock out writers.
- Append-only: triggers refuse UPDATE, DELETE and TRUNCATE. Old months are detached, never deleted.
"""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import psycopg
from psycopg.sql import SQL, Identifier, Literal

from domain.ids import uuid7

SCHEMA = "grantledger"
EVENTS_TABLE = "ledger_events"
APPEND_LOCK = 4_714_921_630_517_351_521  # arbitrary and permanent: all writers take this lock
MIGRATION_LOCK = APPEND_LOCK + 1
AUDITOR_ROLE = "grantledger_auditor"
MONTHS_AHEAD = 3

_log = logging.getLogger(__name__)

MIGRATIONS: Sequence[tuple[str, str]] = (
    (
        "ledger",
        """
CREATE TABLE grantledger.ledger_events (
    originator_id uuid NOT NULL,
    originator_version bigint NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL,
    notification_id bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (originator_id, originator_version)
) PARTITION BY RANGE (originator_id);

CREATE INDEX ledger_events_notification_id_idx ON grantledger.ledger_events (notification_id);

CREATE TABLE grantledger.ledger_events_directory PARTITION OF grantledger.ledger_events
    FOR VALUES FROM ('00000000-0000-0000-0000-000000000000')
    TO ('01000000-0000-0000-0000-000000000000');

CREATE SEQUENCE grantledger.ledger_position MINVALUE 0 START 0;
SELECT setval('grantledger.ledger_position', 0, true);

CREATE FUNCTION grantledger.append_events(
    ids uuid[], versions bigint[], topics text[], states bytea[]
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    head bigint;
    moment timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(4714921630517351521);
    moment := clock_timestamp();
    SELECT last_value INTO head FROM grantledger.ledger_position;
    INSERT INTO grantledger.ledger_events
        (originator_id, originator_version, topic, state, notification_id, recorded_at)
    SELECT e.id, e.version, e.topic, e.state, head + e.place, moment
    FROM unnest(ids, versions, topics, states) WITH ORDINALITY
        AS e (id, version, topic, state, place);
    -- A sequence is not transactional: moved only after the insert, a refused batch leaves no hole.
    PERFORM setval('grantledger.ledger_position', head + cardinality(ids), true);
    RETURN head + 1;
END $$;
COMMENT ON FUNCTION grantledger.append_events IS
    'Appends events in the one total order; returns the position of the first.';

CREATE FUNCTION grantledger.close_position_hole() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    head bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(4714921630517351521);
    SELECT coalesce(max(notification_id), 0) INTO head FROM grantledger.ledger_events;
    IF head < (SELECT last_value FROM grantledger.ledger_position) THEN
        PERFORM setval('grantledger.ledger_position', head, true);
    END IF;
END $$;
COMMENT ON FUNCTION grantledger.close_position_hole IS
    'Takes back positions of a writer that died between its insert and its commit.';

CREATE FUNCTION grantledger.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: % refused', TG_OP USING ERRCODE = '42501';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON grantledger.ledger_events
    FOR EACH ROW EXECUTE FUNCTION grantledger.refuse_change();
CREATE TRIGGER never_truncated BEFORE TRUNCATE ON grantledger.ledger_events
    FOR EACH STATEMENT EXECUTE FUNCTION grantledger.refuse_change();
-- Partitions inherit triggers for rows, not this one: each gets its own.
CREATE TRIGGER never_truncated BEFORE TRUNCATE ON grantledger.ledger_events_directory
    FOR EACH STATEMENT EXECUTE FUNCTION grantledger.refuse_change();

CREATE VIEW grantledger.events AS
SELECT notification_id AS position, recorded_at, topic, originator_id, originator_version,
    convert_from(state, 'UTF8')::jsonb AS state
FROM grantledger.ledger_events;

CREATE TABLE grantledger.wrapped_keys (
    kid text PRIMARY KEY,
    master_key_id text NOT NULL,
    nonce bytea NOT NULL,
    ciphertext bytea NOT NULL
);
COMMENT ON TABLE grantledger.wrapped_keys IS
    'Private signing keys, AES-GCM under the master key. Outside the log, so that they can go.';
""",
    ),
    (
        "read models",
        """
CREATE SCHEMA read;
CREATE TABLE grantledger.projections (
    name text PRIMARY KEY,
    build integer NOT NULL,
    position bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE grantledger.projections IS
    'Which build of a projection is live, and the position up to which it is complete.';
""",
    ),
    (
        "people",
        """
CREATE TABLE grantledger.logins (
    login text PRIMARY KEY,
    subject text NOT NULL
);
CREATE INDEX logins_subject_idx ON grantledger.logins (subject);
COMMENT ON TABLE grantledger.logins IS
    'By which names people log in. Personal data: outside the log, so that it can go.';

CREATE TABLE grantledger.passwords (
    subject text PRIMARY KEY,
    hash text NOT NULL,
    pepper_id text NOT NULL,
    set_at timestamptz NOT NULL
);
COMMENT ON TABLE grantledger.passwords IS 'argon2id over the password under a pepper.';

CREATE TABLE grantledger.passkeys (
    credential_id bytea PRIMARY KEY,
    subject text NOT NULL,
    public_key bytea NOT NULL,
    sign_count bigint NOT NULL,
    label text NOT NULL,
    added_at timestamptz NOT NULL
);
CREATE INDEX passkeys_subject_idx ON grantledger.passkeys (subject);
COMMENT ON TABLE grantledger.passkeys IS 'Public keys of WebAuthn credentials.';

CREATE TABLE grantledger.one_time_values (
    kind text NOT NULL,
    key bytea NOT NULL,
    content bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (kind, key)
);
CREATE INDEX one_time_values_expiry_idx ON grantledger.one_time_values (expires_at);
COMMENT ON TABLE grantledger.one_time_values IS
    'What a request leaves for the next one, for minutes: pushed requests, user codes, challenges.';

CREATE UNLOGGED TABLE grantledger.login_failures (
    key bytea PRIMARY KEY,
    failures integer NOT NULL,
    last_at timestamptz NOT NULL
);
COMMENT ON TABLE grantledger.login_failures IS
    'Failed logins per account and address, hashed under the pepper. Losing it in a crash is fine.';
""",
    ),
    (
        "rate limits",
        """
CREATE UNLOGGED TABLE grantledger.rate_limit_windows (
    key bytea PRIMARY KEY,
    hits bigint NOT NULL,
    ends_at timestamptz NOT NULL
);
CREATE INDEX rate_limit_windows_end_idx ON grantledger.rate_limit_windows (ends_at);
COMMENT ON TABLE grantledger.rate_limit_windows IS
    'Requests per client and address, by hashed names. Losing it in a crash is fine.';
""",
    ),
    (
        "versions of read models",
        """
ALTER TABLE grantledger.projections ADD COLUMN version integer NOT NULL DEFAULT 1;
COMMENT ON COLUMN grantledger.projections.version IS
    'Of the columns: a program that knows a higher one begins the read model anew.';
""",
    ),
    (
        "announced ends",
        """
CREATE UNLOGGED TABLE grantledger.announced_ends (
    stream uuid NOT NULL,
    holder uuid NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (stream, holder)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE grantledger.announced_ends IS
    'Streams that ordinary writers leave alone for a moment, so that an end of them is recorded.';

CREATE FUNCTION grantledger.append_locked(
    ids uuid[], versions bigint[], topics text[], states bytea[]
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    head bigint;
    moment timestamptz := clock_timestamp();
BEGIN
    SELECT last_value INTO head FROM grantledger.ledger_position;
    INSERT INTO grantledger.ledger_events
        (originator_id, originator_version, topic, state, notification_id, recorded_at)
    SELECT e.id, e.version, e.topic, e.state, head + e.place, moment
    FROM unnest(ids, versions, topics, states) WITH ORDINALITY
        AS e (id, version, topic, state, place);
    -- A sequence is not transactional: moved only after the insert, a refused batch leaves no hole.
    PERFORM setval('grantledger.ledger_position', head + cardinality(ids), true);
    RETURN head + 1;
END $$;
COMMENT ON FUNCTION grantledger.append_locked IS
    'Appends events. For a caller that holds the lock of all writers.';

CREATE OR REPLACE FUNCTION grantledger.append_events(
    ids uuid[], versions bigint[], topics text[], states bytea[]
) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(4714921630517351521);
    -- Nearly always there is no row, and the first look ends it.
    IF EXISTS (SELECT FROM grantledger.announced_ends) AND EXISTS (
        SELECT FROM grantledger.announced_ends AS e
        WHERE e.stream = ANY (ids) AND e.until > clock_timestamp()
    ) THEN
        RAISE EXCEPTION 'an end of the stream is announced' USING ERRCODE = '23P01';
    END IF;
    RETURN grantledger.append_locked(ids, versions, topics, states);
END $$;

CREATE FUNCTION grantledger.announce_end(announcing uuid, streams uuid[], seconds double precision)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- Under the lock of all writers: what is being appended is committed before, and every later
    -- append sees these rows.
    PERFORM pg_advisory_xact_lock(4714921630517351521);
    DELETE FROM grantledger.announced_ends WHERE until <= clock_timestamp();
    INSERT INTO grantledger.announced_ends (stream, holder, until)
    SELECT DISTINCT s, announcing, clock_timestamp() + make_interval(secs => seconds)
    FROM unnest(streams) AS s
    ON CONFLICT (stream, holder) DO UPDATE SET until = excluded.until;
END $$;
COMMENT ON FUNCTION grantledger.announce_end IS
    'Keeps ordinary writers off these streams until append_end, withdraw_end or the time is over.';

CREATE FUNCTION grantledger.append_end(
    announcing uuid, ids uuid[], versions bigint[], topics text[], states bytea[]
) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(4714921630517351521);
    DELETE FROM grantledger.announced_ends WHERE holder = announcing;
    RETURN grantledger.append_locked(ids, versions, topics, states);
END $$;
COMMENT ON FUNCTION grantledger.append_end IS
    'Appends events whatever is announced, and takes back what the holder announced.';

CREATE FUNCTION grantledger.withdraw_end(announcing uuid) RETURNS void LANGUAGE sql AS $$
    DELETE FROM grantledger.announced_ends WHERE holder = announcing
$$;
COMMENT ON FUNCTION grantledger.withdraw_end IS 'Takes back what the holder announced.';
""",
    ),
    (
        "events set aside",
        """
CREATE TABLE grantledger.set_aside_events (
    projection text NOT NULL,
    build integer NOT NULL,
    position bigint NOT NULL,
    topic text NOT NULL,
    stream_id uuid NOT NULL,
    reason text NOT NULL,
    set_aside_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (projection, build, position)
);
COMMENT ON TABLE grantledger.set_aside_events IS
    'Events of the log that a build of a read model cannot take, and why. Empty where all is well.';

CREATE FUNCTION grantledger.readable_state(state bytea) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN convert_from(state, 'UTF8')::jsonb;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN NULL;
END $$;
COMMENT ON FUNCTION grantledger.readable_state IS
    'The state of an event, NULL where PostgreSQL cannot read it: one event must not fail a query.';
CREATE OR REPLACE VIEW grantledger.events AS
SELECT notification_id AS position, recorded_at, topic, originator_id, originator_version,
    grantledger.readable_state(state) AS state
FROM grantledger.ledger_events;
""",
    ),
    (
        "identity of the log",
        """
CREATE TABLE grantledger.log_identity (
    log_id uuid NOT NULL DEFAULT gen_random_uuid(),
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one)
);
INSERT INTO grantledger.log_identity DEFAULT VALUES;
COMMENT ON TABLE grantledger.log_identity IS
    'Names this log for good: its processes refuse to go on in another one.';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON grantledger.log_identity
    FOR EACH ROW EXECUTE FUNCTION grantledger.refuse_change();
CREATE TRIGGER never_truncated BEFORE TRUNCATE ON grantledger.log_identity
    FOR EACH STATEMENT EXECUTE FUNCTION grantledger.refuse_change();

CREATE FUNCTION grantledger.log_is_followed(known bigint, log uuid, log_table bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    -- The lock that the append takes: between the answer and it nothing changes.
    PERFORM pg_advisory_xact_lock(4714921630517351521);
    RETURN known <= (SELECT last_value FROM grantledger.ledger_position)
        AND (log_table = 0 OR EXISTS (SELECT FROM grantledger.log_identity AS i
            WHERE i.log_id = log AND i.tableoid::bigint = log_table));
END $$;
COMMENT ON FUNCTION grantledger.log_is_followed IS
    'Whether a process that knows the log up to a position still writes to that log.';

CREATE INDEX ledger_events_directory_losses_idx
    ON grantledger.ledger_events_directory (notification_id) WHERE topic = 'log.went_back';

ALTER TABLE grantledger.projections ADD COLUMN last_event bytea;
UPDATE grantledger.projections AS p SET last_event =
    (SELECT sha256(uuid_send(e.originator_id) || int8send(e.originator_version) || e.state)
    FROM grantledger.ledger_events AS e WHERE e.notification_id = p.position);
COMMENT ON COLUMN grantledger.projections.last_event IS
    'SHA-256 of the event at the position: where the log has another there, it went back.';
""",
    ),
    (
        "position of the log",
        """
CREATE OR REPLACE FUNCTION grantledger.close_position_hole() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    head bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(4714921630517351521);
    SELECT coalesce(max(notification_id), 0) INTO head FROM grantledger.ledger_events;
    -- It is behind where the log was moved without its sequence, as logical replication does.
    IF head <> (SELECT last_value FROM grantledger.ledger_position) THEN
        PERFORM setval('grantledger.ledger_position', head, true);
    END IF;
END $$;
COMMENT ON FUNCTION grantledger.close_position_hole IS
    'Sets the position to that of the last event, whether a writer died or the log was moved.';
""",
    ),
)


def migrate(connection: psycopg.Connection[tuple[object, ...]], *, now: datetime) -> list[str]:
    """Bring the schema up to date and return the names of the migrations that were applied.

    Safe to run from many processes at once. `connection` must be in autocommit mode. Raises
    RuntimeError where the database was migrated by a newer version.
    """
    applied: list[str] = []
    connection.execute("SELECT pg_advisory_lock(%s)", (MIGRATION_LOCK,))
    try:
        connection.execute("CREATE SCHEMA IF NOT EXISTS grantledger")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS grantledger.schema_migrations (number integer PRIMARY KEY,"
            " name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"
        )
        done = schema_version(connection)
        if done > len(MIGRATIONS):
            raise RuntimeError(
                f"the database is at schema {done}, this version knows {len(MIGRATIONS)}: "
                "run the newer version"
            )
        for number, (name, statements) in enumerate(MIGRATIONS[done:], start=done + 1):
            with connection.transaction():
                connection.execute(SQL(statements))
                connection.execute(
                    "INSERT INTO grantledger.schema_migrations (number, name) VALUES (%s, %s)",
                    (number, name),
                )
            applied.append(name)
        _ensure_auditor_role(connection)
        ensure_partitions(connection, now=now)
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", (MIGRATION_LOCK,))
    return applied


def schema_version(connection: psycopg.Connection[tuple[object, ...]]) -> int:
    """Return the number of the last migration applied, 0 for an empty database."""
    present = connection.execute(
        "SELECT to_regclass('grantledger.schema_migrations') IS NOT NULL"
    ).fetchone()
    if present != (True,):
        return 0
    row = connection.execute(
        "SELECT coalesce(max(number), 0) FROM grantledger.schema_migrations"
    ).fetchone()
    return int(str(row[0])) if row else 0


def ensure_partitions(
    connection: psycopg.Connection[tuple[object, ...]], *, now: datetime
) -> list[str]:
    """Attach the partitions from the last month to MONTHS_AHEAD; return the names of the new."""
    created = []
    for offset in range(-1, MONTHS_AHEAD + 1):
        name, lower, upper = month_partition(now, offset)
        known = connection.execute(
            "SELECT to_regclass(%s) IS NOT NULL", (f"{SCHEMA}.{name}",)
        ).fetchone()
        if known == (True,):
            continue
        table, parent = Identifier(SCHEMA, name), Identifier(SCHEMA, EVENTS_TABLE)
        with connection.transaction():
            connection.execute(SQL("CREATE TABLE {} (LIKE {})").format(table, parent))
            connection.execute(
                SQL(
                    "CREATE TRIGGER never_truncated BEFORE TRUNCATE ON {}"
                    " FOR EACH STATEMENT EXECUTE FUNCTION grantledger.refuse_change()"
                ).format(table)
            )
            connection.execute(
                SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
                    parent, table, Literal(str(lower)), Literal(str(upper))
                )
            )
        created.append(name)
    return created


def month_partition(now: datetime, offset: int) -> tuple[str, UUID, UUID]:
    """Return name, first id and first id after the partition `offset` months from `now` (UTC)."""
    first = _month(now, offset)
    return (
        f"{EVENTS_TABLE}_{first:%Y_%m}",
        _first_id(first),
        _first_id(_month(now, offset + 1)),
    )


def _month(now: datetime, offset: int) -> datetime:
    months = now.year * 12 + now.month - 1 + offset
    return datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)


def _first_id(moment: datetime) -> UUID:
    # The bound is the bare time stamp: below every version and variant bit of that millisecond.
    return UUID(int=uuid7(moment, bytes(10)).int >> 80 << 80)


def _ensure_auditor_role(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    try:
        with connection.transaction():
            exists = connection.execute(
                "SELECT 1 FROM pg_roles WHERE rolname = %s", (AUDITOR_ROLE,)
            ).fetchone()
            if exists is None:
                connection.execute(SQL("CREATE ROLE {} NOLOGIN").format(Identifier(AUDITOR_ROLE)))
            connection.execute(
                SQL(
                    "GRANT USAGE ON SCHEMA read TO {role};"
                    "GRANT SELECT ON ALL TABLES IN SCHEMA read TO {role};"
                    "ALTER DEFAULT PRIVILEGES IN SCHEMA read GRANT SELECT ON TABLES TO {role}"
                ).format(role=Identifier(AUDITOR_ROLE))
            )
    except psycopg.errors.InsufficientPrivilege:
        _log.warning(
            "no privilege to create the role %s: create it and grant it SELECT on schema read",
            AUDITOR_ROLE,
        )
