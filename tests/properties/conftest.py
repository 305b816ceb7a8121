"""Fixtures of the property tests: those of the projections' tests."""

from tests.projections.conftest import recording, session

__all__ = ["recording", "session"]
