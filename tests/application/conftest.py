"""Fixtures of the use cases' tests."""

import os
from collections.abc import Mapping

import pytest
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from application.key_material import generate_private_key
from domain.client_configuration import SIGNING_ALGORITHMS
from tests.application.service import FakeService, token_keys


@pytest.fixture(scope="session")
def private_keys() -> Mapping[str, PrivateKeyTypes]:
    """A private key of each algorithm; made once, because RSA keys take their time."""
    return {algorithm: generate_private_key(algorithm) for algorithm in SIGNING_ALGORITHMS}


@pytest.fixture
def service(private_keys: Mapping[str, PrivateKeyTypes]) -> FakeService:
    """A service with an empty log and an ES256 key that signs."""
    return FakeService(keys=token_keys(private_keys, "ES256"))


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of whoever runs the tests are not the tests'."""
    for name in os.environ:
        if name.startswith("GRANTLEDGER_") or name == "DATABASE_URL":
            monkeypatch.delenv(name)
