"""The hook of the tests' deployment, as an operator would write it."""

from collections.abc import Mapping
from typing import Any

from application.registration.policy import RegistrationRefused
from domain.client_configuration import ClientConfiguration


def vet(wanted: ClientConfiguration, said: Mapping[str, Any]) -> ClientConfiguration:
    """Refuse what calls itself official, and fail for what is named so."""
    if "official" in wanted.name.lower():
        raise RegistrationRefused("that name is ours")
    if said.get("software_id") == "fails":
        raise LookupError("hidden-detail")
    return wanted
