"""The deployment of the registration tests."""

from collections.abc import Mapping

import pytest
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from tests.application.registration.scene import RegisteringService
from tests.application.service import token_keys


@pytest.fixture
def service(private_keys: Mapping[str, PrivateKeyTypes]) -> RegisteringService:
    """A service where registration is open."""
    return RegisteringService(keys=token_keys(private_keys, "ES256"))
