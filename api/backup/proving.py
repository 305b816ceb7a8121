"""Prove by replay that a restored database is what its manifest says.

1. Head, counts and ids are those of the snapshot.
2. Positions are without a hole, where no month had left the log.
3. Every stream folds by the domain: versions follow each other, and each event can be read.
4. Each read model is what a replay makes of the log, where no month had left it.
5. Each wrapped key opens under a master key that is here; else it is a warning, since the data is
   whole and the key may come later.
"""

from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from eventsourcing.persistence import MapperDeserialisationError, StoredEvent
from psycopg import Connection
from psycopg.rows import TupleRow

from api.backup.contents import contents_of
from api.backup.manifest import Contents
from application.ledger.mapper import LedgerMapper
from application.secret_keys import MasterKeyMismatch, MasterKeys, WrappedKey
from domain.recorded import fold
from projections.rebuild import Progress
from projections.registry import PROJECTIONS
from projections.session import open_session
from projections.verify import verify

_EVENTS = (
    "SELECT originator_id, originator_version, topic, state FROM grantledger.ledger_events"
    " ORDER BY originator_id, originator_version"
)
_KEYS = "SELECT kid, master_key_id, nonce, ciphertext FROM grantledger.wrapped_keys ORDER BY kid"
_MOST = 10
# What an event that lacks a fact, or has a wrong one, ends a projection with.
_UNREADABLE = (MapperDeserialisationError, LookupError, TypeError, ValueError)
_STEP = 1000


@dataclass(slots=True)
class Proof:
    """What was found: `problems` mean that the data is wrong, `warnings` that something lacks."""

    streams: int = 0
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def prove(
    url: str,
    expected: Contents,
    *,
    master_keys: MasterKeys | None,
    peppers: Collection[str],
    progress: Progress,
) -> Proof:
    """Compare the database `url` with `expected` and replay it; `peppers` are the ids of those that
    are here. Raises psycopg.Error.
    """
    proof = Proof()
    with closing(open_session(url, name="restore")) as connection:
        found = contents_of(connection)
        proof.problems += _differences(expected, found)  # 1
        if not expected.detached and found.events != found.position:  # 2
            proof.problems.append(f"{found.position} positions hold {found.events} events")
        _fold_streams(connection, proof, found.events, progress)  # 3
        proof.warnings += _unopened(connection, master_keys)  # 5
    lacking = [pepper for pepper in expected.pepper_ids if pepper not in peppers]
    if lacking:
        proof.warnings.append(
            f"peppers that secrets and passwords need are not here: {', '.join(lacking)}"
        )
    if expected.detached:
        proof.warnings.append(
            f"the read models were not compared: {', '.join(expected.detached)} had left the log"
        )
    else:
        proof.problems += _drift(url, progress)  # 4
    return proof


def _differences(expected: Contents, found: Contents) -> Iterator[str]:
    for name in expected.__struct_fields__:
        wanted, present = getattr(expected, name), getattr(found, name)
        if name != "schema" and wanted != present:  # the schema may have been brought up to date
            yield f"{name}: {present}, the manifest says {wanted}"


def _fold_streams(
    connection: Connection[Any], proof: Proof, events: int, progress: Progress
) -> None:
    mapper, done = LedgerMapper(), 0
    with connection.transaction(), connection.cursor("streams") as cursor:
        cursor.itersize = _STEP
        for stream, rows in groupby(cursor.execute(_EVENTS), key=lambda row: row[0]):
            stored = [_stored(row) for row in rows]
            problem = _unfoldable(mapper, stored)
            if problem and len(proof.problems) < _MOST:
                proof.problems.append(f"stream {stream}: {problem}")
            proof.streams += 1
            if (done + len(stored)) // _STEP > done // _STEP:
                progress(done + len(stored), events)
            done += len(stored)


def _stored(row: TupleRow) -> StoredEvent:
    stream, version, topic, state = row
    return StoredEvent(stream, version, topic, bytes(state))


def _unfoldable(mapper: LedgerMapper, stored: list[StoredEvent]) -> str:
    try:
        fold([mapper.to_domain_event(one) for one in stored])
    except Exception as error:  # whatever it is, the stream cannot be read
        return f"cannot be folded: {type(error).__name__}"
    return ""


def _drift(url: str, progress: Progress) -> Iterator[str]:
    for projection in PROJECTIONS:
        try:
            report = verify(url, projection, progress=progress)
        except _UNREADABLE as error:
            yield f"read model {projection.name} cannot be replayed: {type(error).__name__}"
            continue
        if not report.clean:
            examples = "; ".join(report.examples[:3])
            yield f"read model {projection.name} is not what the log says: {examples}"


def _unopened(connection: Connection[Any], master_keys: MasterKeys | None) -> Iterator[str]:
    for kid, master_key_id, nonce, ciphertext in connection.execute(_KEYS).fetchall():
        wrapped = WrappedKey(kid, master_key_id, bytes(nonce), bytes(ciphertext))
        try:
            if master_keys is None:
                raise MasterKeyMismatch(f"there is no master key here, {master_key_id} is needed")
            master_keys.unwrap(wrapped)
        except MasterKeyMismatch as error:
            yield f"signing key {kid} cannot be opened: {error}"
