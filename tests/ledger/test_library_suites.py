"""The library's own recorder suites, run against LedgerRecorder.

Deviations, each with its reason:

1. Stream ids are UUIDv7 instead of UUIDv4: the table is partitioned by them, and an id outside
   every partition is refused on purpose.
2. AggregateRecorderTestCase demands that insert_events returns None, which holds for recorders
   without positions. Everything else in it runs, on a recorder whose answer is dropped.
3. `optional_test_insert_subscribe` is not run: subscriptions wait for NOTIFY, which serialises
   commits and which append_events therefore does not send. Readers tail select_notifications.
4. The module of the suites imports the library's PyCryptodome cipher for suites that are of no
   concern here. Its cipher over `cryptography`, which is installed anyway, stands in for it.
"""

import sys
from collections.abc import Sequence
from typing import Any
from unittest import TestCase
from uuid import UUID

import pytest
from eventsourcing import cryptography
from eventsourcing.persistence import StoredEvent

from application.ledger.recorder import LedgerRecorder, open_datastore
from tests.builders import stream_id

sys.modules.setdefault("eventsourcing.cipher", cryptography)  # deviation 4
from eventsourcing.tests import persistence  # noqa: E402  # only now can it be imported


class _WithoutPositions(LedgerRecorder):
    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> None:
        super().insert_events(stored_events, **kwargs)


class _OnFreshDatabase(TestCase):
    recorder_class: type[LedgerRecorder] = LedgerRecorder

    @pytest.fixture(autouse=True)
    def _fresh_database(self, database_url: str) -> None:
        self._database_url = database_url

    def new_originator_id(self) -> UUID:
        """Return an id that lies in a partition: deviation 1."""
        return stream_id()

    def create_recorder(self) -> LedgerRecorder:
        """Return a recorder over the test's database."""
        datastore = open_datastore(self._database_url)
        self.addCleanup(datastore.close)
        return self.recorder_class(datastore)


class TestAsAggregateRecorder(_OnFreshDatabase, persistence.AggregateRecorderTestCase):
    """Streams are written whole or not at all, guarded by their versions, and read in order."""

    recorder_class = _WithoutPositions  # deviation 2


class TestAsApplicationRecorder(
    _OnFreshDatabase, persistence.ApplicationRecorderTestCase[LedgerRecorder]
):
    """Positions are contiguous, selections by position and topic right, and threads no trouble."""


class TestNonInterleavingPositions(
    _OnFreshDatabase, persistence.NonInterleavingNotificationIDsBaseCase
):
    """Two writers at once get positions that do not interleave."""
