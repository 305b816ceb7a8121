"""Fixtures of the ledger's tests."""

from collections.abc import AsyncIterator

import pytest

from application.ledger.ledger import Ledger


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[Ledger]:
    """A started ledger on a fresh database."""
    async with Ledger(database_url) as started:
        yield started
