"""Old months: things recorded now under ids of then, looked at from a day years ahead."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from psycopg import Connection

from application.ledger.schema import ensure_partitions, month_partition
from domain.access_token import AccessToken
from domain.provenance import Origin, Provenance
from domain.refresh_token_family import FamilyTerms, IssuedToken, RefreshTokenFamily
from domain.retention import Retention
from domain.session import Session
from projections.export.parts import PositionRange
from projections.retention.archive import Archived
from projections.retention.detaching import Detached, Way, detach_due
from projections.retention.plan import MonthPlan
from tests.builders import POLICY, SIGNING, a_client, a_request, a_token, stream_id
from tests.projections.recording import Recording

THEN = datetime.now(UTC)
LATER = THEN + timedelta(days=800)
"""What tests take for now: THEN is in a month more than two years ago."""
BEFORE = (THEN.replace(day=1) - timedelta(days=40)).replace(day=10)
"""In a month before that of THEN, for which tests make the partition."""
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
MONTH = month_partition(THEN, 0)[0]
MONTH_BEFORE = month_partition(BEFORE, 0)[0]
ISSUER = "https://issuer.example"
_YEAR = 366 * 24 * 3600


def token(moment: datetime = THEN) -> AccessToken:
    """Return a token of `moment` that ends an hour later."""
    return a_token(moment)


def session(moment: datetime = THEN, *, lifetime: int = 3600) -> Session:
    """Return a session of `moment`; lifetimes are in seconds."""
    return Session.start(
        stream_id(moment),
        subject="alice",
        methods=("pwd",),
        lifetime=timedelta(seconds=lifetime),
        origin=Origin(address="address-hash", user_agent="agent-hash"),
        provenance=Provenance(moment, "req_1"),
    )


def family(
    moment: datetime = THEN, *, lifetime: int = 3600, of: Session | None = None
) -> RefreshTokenFamily:
    """Return a family of `moment`, of a session that is nowhere else unless it is given."""
    terms = FamilyTerms(
        client_id="shop",
        subject="alice",
        session_id=f"sess_{(of.id if of else stream_id(LONG_AGO)).hex}",
        scope=("user",),
        audience=(),
        authenticated_at=moment,
        lifetime=lifetime,
        idle_lifetime=lifetime,
        grace=10,
    )
    first = IssuedToken(str(stream_id(moment)), moment + timedelta(minutes=10))
    return RefreshTokenFamily.start(
        stream_id(moment), terms, pepper_id="p", token=first, provenance=Provenance(moment, "req_1")
    )


def living_family(moment: datetime = THEN, *, of: Session | None = None) -> RefreshTokenFamily:
    """Return a family that is not expired LATER."""
    return family(moment, lifetime=4 * _YEAR, of=of)


def unexpired_token(jti_of: datetime = THEN) -> AccessToken:
    """Return a token under an old id that was issued a moment before LATER."""
    return a_client().issue_token(
        a_request(token_id=stream_id(jti_of)),
        grant_type="client_credentials",
        owner=None,
        policy=POLICY,
        signing=SIGNING,
        provenance=Provenance(LATER - timedelta(minutes=1), "req_3"),
    )


def make_month_before(session: Connection[Any]) -> None:
    """Make the partition of BEFORE, and those around it."""
    ensure_partitions(session, now=BEFORE)


class Acts:
    """Records what retention does, and lets a test look at the moment before it is done."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self.announced: list[PositionRange] = []
        self.at_record: Callable[[], object] = lambda: None
        self._fates: dict[str, Retention] = {}

    def announce(self, of: PositionRange, _rows: int) -> None:
        """Note that files are about to be written."""
        self.announced.append(of)

    def _fate(self, partition: str) -> Retention:
        at = Provenance(datetime.now(UTC), "req_1", by="operator-1", why="policy")
        return self._fates.setdefault(partition, Retention.open(partition, provenance=at))

    def detached(self, planned: MonthPlan, archived: Archived) -> None:
        """Record that a month leaves."""
        fate = self._fate(planned.month.partition)
        fate.detach(
            rows=archived.manifest.rows,
            first_position=archived.manifest.first_position,
            last_position=archived.manifest.last_position,
            manifest_sha256=archived.manifest_sha256,
            dropped=False,
            provenance=Provenance(datetime.now(UTC), "req_1", by="operator-1"),
        )
        self._recording.record(fate)
        self.at_record()

    def restored(self, archived: Archived) -> None:
        """Record that a month comes back."""
        fate = self._fate(archived.manifest.partition)
        fate.restore(
            manifest_sha256=archived.manifest_sha256,
            provenance=Provenance(datetime.now(UTC), "req_1", by="operator-1"),
        )
        self._recording.record(fate)
        self.at_record()

    def detach(
        self, connection: Connection[Any], out: Path, *, drop: bool = False
    ) -> list[Detached]:
        """Detach what may leave LATER, after twelve months."""
        way = Way(
            out=out,
            issuer=ISSUER,
            drop=drop,
            announce=self.announce,
            record=self.detached,
        )
        return detach_due(
            self._recording.database_url, connection, way, retention_months=12, now=LATER
        )
