"""Fixtures of the projections' tests: a log to record in, beside the read models made of it."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from psycopg import Connection

from projections.session import open_session
from tests.projections.recording import Recording


@pytest.fixture
def recording(database_url: str) -> Iterator[Recording]:
    """The log of a fresh database."""
    with Recording(database_url) as log:
        yield log


@pytest.fixture
def session(database_url: str) -> Iterator[Connection[Any]]:
    """A connection to the same database, set up as those of the projections are."""
    with closing(open_session(database_url, name="test")) as connection:
        yield connection
