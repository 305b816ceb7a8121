"""Events hold no secret and say where they come from.

The log is kept for good and read by many: a secret in it would be out.
"""

import dataclasses
import re
from typing import Any, get_type_hints

import pytest
from pydantic import BaseModel

from domain.recorded import Administered
from tests.event_classes import event_classes

SECRET = re.compile(r"secret|token|password|passphrase|private|cookie|bearer|jwt|(^|_)code($|_)")
# Names that read like a secret and are none, each with what it is.
HARMLESS = {
    ("Client.SecretAdded", "secret_id"): "the name of a secret",
    ("Client.SecretRetired", "secret_id"): "the name of a secret",
    ("Client.Registered", "tokens"): "how tokens are made: lifetime, algorithm",
    ("Client.TokenPolicyChanged", "tokens"): "how tokens are made: lifetime, algorithm",
    **{
        (f"RefreshTokenFamily.{event}", "token_expires_at"): "when the access token ends"
        for event in ("Started", "Rotated", "RotationRetried", "Used")
    },
    ("RefreshTokenFamily.ReuseDetected", "tokens_revoked"): "ids of access tokens",
    ("RefreshTokenFamily.Revoked", "tokens_revoked"): "ids of access tokens",
}
EVENTS = event_classes()


def field_names(of: type[Any]) -> list[str]:
    """Return the names of the fields of an event, and those inside of its value objects."""
    types = get_type_hints(of)
    names = []
    for field in dataclasses.fields(of):
        names.append(field.name)
        value = types[field.name]
        if isinstance(value, type) and issubclass(value, BaseModel):
            names += [f"{field.name}.{inner}" for inner in value.model_fields]
    return names


def suspicious(of: type[Any]) -> list[str]:
    """Return the fields whose names sound like a secret and are not known to be harmless."""
    return [
        name
        for name in field_names(of)
        if SECRET.search(name.rpartition(".")[2]) and (of.__qualname__, name) not in HARMLESS
    ]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__qualname__)
def test_no_field_of_an_event_is_a_secret(event: type[Any]) -> None:
    """No field of any event, nor of a value object in it, has the name of a secret."""
    assert suspicious(event) == []


def test_the_check_sees() -> None:
    """The check above finds fields by their names, inside of value objects too."""

    class Inner(BaseModel):
        private_key: str
        kid: str

    @dataclasses.dataclass
    class Leaky:
        client_id: str
        access_token: str
        inner: Inner
        grant_code: str
        encoded: str

    assert suspicious(Leaky) == ["access_token", "inner.private_key", "grant_code"]


def test_the_exceptions_exist() -> None:
    """Each exception above is about a field that there is: none outlives its reason."""
    fields = {(event.__qualname__, name) for event in EVENTS for name in field_names(event)}

    assert set(HARMLESS) - fields == set()


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__qualname__)
def test_every_event_says_where_it_comes_from(event: type[Any]) -> None:
    """Each event has its moment, request and trace, and administrative ones who and why."""
    names = set(field_names(event))
    needed = {"timestamp", "request_id", "traceparent"}
    if issubclass(event, Administered.Event):
        needed |= {"by", "why"}

    assert needed - names == set()
