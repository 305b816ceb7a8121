"""The base of every aggregate: how its facts come about."""

from datetime import UTC, datetime
from typing import Any

import pytest

from domain.client_usage import ClientUsage
from domain.ids import uuid7
from domain.provenance import Provenance

_NOW = datetime(2026, 3, 3, tzinfo=UTC)
_FACTS: dict[str, Any] = {"client_id": "demo", "process": "host:1", "day": "2026-03-03"}


def _begun(**facts: Any) -> ClientUsage:
    return ClientUsage._begin(
        ClientUsage.Created, uuid7(_NOW, bytes(10)), Provenance(_NOW, "req_1"), **facts
    )


def test_a_first_fact_is_like_any_other() -> None:
    """It equals the event that its class makes of the same facts, and cannot be changed."""
    event: Any = _begun(**_FACTS).facts()[0]
    made = type(event)(**vars(event))

    assert event == made
    assert hash(event) == hash(made)
    with pytest.raises(AttributeError):
        event.client_id = "another"


@pytest.mark.parametrize(
    "changed",
    [{"day": None}, {"night": "2026-03-03"}, {"day": None, "night": "2026-03-03"}],
)
def test_a_first_fact_says_all_and_nothing_else(changed: dict[str, Any]) -> None:
    """What lacks a fact of its class, or has one that the class does not know, is no event."""
    facts = {**_FACTS, **changed}
    if facts["day"] is None:
        del facts["day"]

    with pytest.raises(TypeError, match="not the facts"):
        _begun(**facts)


def test_a_further_fact_is_like_any_other() -> None:
    """As the first, and the aggregate is a version further."""
    usage = _begun(**_FACTS)
    usage.facts()
    usage.used(last_at=_NOW, by_endpoint={"token": 3}, provenance=Provenance(_NOW, "req_2"))
    event: Any = usage.facts()[0]
    made = type(event)(**vars(event))

    assert event == made
    assert usage.uses == 3
    assert (usage.version, event.originator_version, event.request_id) == (2, 2, "req_2")
    with pytest.raises(AttributeError):
        event.client_id = "another"


@pytest.mark.parametrize("facts", [{}, {"night": 1}])
def test_what_lacks_a_fact_changes_nothing(facts: dict[str, Any]) -> None:
    """The aggregate is as it was, with nothing more to record."""
    usage = _begun(**_FACTS)
    usage.facts()
    with pytest.raises(TypeError, match="not the facts"):
        usage._record(ClientUsage.ClientUsed, Provenance(_NOW, "req_2"), **facts)

    assert usage.version == 1
    assert usage.facts() == []
