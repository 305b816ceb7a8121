"""Puts decided facts into the log through the library's recorder, as the CLI does."""

from datetime import UTC, datetime
from typing import Self

from eventsourcing.persistence import Notification

from application.ledger.mapper import LedgerMapper
from application.ledger.recorder import LedgerRecorder, open_datastore
from domain.access_token import AccessToken
from domain.client import Client
from domain.provenance import Provenance
from domain.recorded import Recorded
from tests.builders import POLICY, SIGNING, a_client, a_principal, a_request, stream_id


class Recording:
    """The log of one database."""

    def __init__(self, database_url: str) -> None:
        self.database_url = database_url
        self.mapper = LedgerMapper()
        self._datastore = open_datastore(database_url)
        self._recorder = LedgerRecorder(self._datastore)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._datastore.close()

    def record(self, *aggregates: Recorded) -> int:
        """Record what `aggregates` decided as one unit and return the last position."""
        facts = [fact for aggregate in aggregates for fact in aggregate.facts()]
        positions = self._recorder.insert_events(
            [self.mapper.to_stored_event(fact) for fact in facts]
        )
        assert positions is not None
        return positions[-1]

    def stored(self, *, until: int) -> list[Notification]:
        """Return the events up to and with the position `until`."""
        found = self._recorder.select_notifications(1, until, stop=until)
        return list(found)

    def issue(self, count: int = 1, *, client: Client | None = None) -> int:
        """Record `count` tokens as one unit and return the last position."""
        holder = client or a_client()
        return self.record(*[token_now(holder) for _ in range(count)])


def token_now(
    client: Client | None = None, *, at: datetime | None = None, credential_id: str = "secret-1"
) -> AccessToken:
    """Return a token whose stream id is of now; it says that it was issued `at`, else now."""
    now = datetime.now(UTC)
    holder = client or a_client()
    return holder.issue_token(
        a_request(token_id=stream_id(now), credential_id=credential_id),
        grant_type="client_credentials",
        owner=a_principal(holder.owner) if holder.owner else None,
        policy=POLICY,
        signing=SIGNING,
        provenance=Provenance(at or now, "req_3"),
    )
