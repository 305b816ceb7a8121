"""How events read in the store: UTF-8 JSON with the field names of the event classes.

`timestamp`, the library's name, is stored as `occurred_at`. An event class that changed carries
`class_version` and upcasters `upcast_vN_vN+1`, which work on the stored names.
"""

from typing import Any, cast
from uuid import UUID

import msgspec
from eventsourcing.domain import CanMutateAggregate, DomainEventProtocol
from eventsourcing.persistence import Mapper, MapperDeserialisationError, StoredEvent, Transcoder
from eventsourcing.utils import get_topic, resolve_topic
from pydantic import BaseModel

import application.ledger.topics  # noqa: F401  # registers every topic before the first look-up
from application.errors import Unrecordable
from application.ledger.recordable import require_recordable


def _encode_unknown(value: object) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"an event cannot carry a {type(value).__name__}")


def _decode_unknown(wanted: type, value: Any) -> Any:
    if issubclass(wanted, BaseModel):
        return wanted.model_validate(value)
    raise TypeError(f"an event cannot carry a {wanted.__name__}")


class JsonTranscoder(Transcoder):
    """JSON by msgspec: the library's own transcoder wraps each date and id in an object."""

    def __init__(self) -> None:
        self._encoder = msgspec.json.Encoder(enc_hook=_encode_unknown)
        self._decoder = msgspec.json.Decoder()

    def encode(self, obj: Any) -> bytes:
        """Return `obj` as UTF-8 JSON. Raises TypeError for what an event cannot carry."""
        return self._encoder.encode(obj)

    def decode(self, data: bytes) -> Any:
        """Return what `data`, UTF-8 JSON, says. Raises msgspec.DecodeError for anything else."""
        return self._decoder.decode(data)


class LedgerMapper(Mapper[UUID]):
    """Between domain events and stored events."""

    def __init__(self) -> None:
        super().__init__(JsonTranscoder())

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> StoredEvent:
        """Return the event as it is stored.

        Raises Unrecordable for what the log or its read models cannot hold.
        """
        event_class = type(domain_event)
        state = {"occurred_at": domain_event.timestamp, **vars(domain_event)}  # type: ignore[attr-defined]
        del state["originator_id"], state["originator_version"], state["timestamp"]
        version = getattr(event_class, "class_version", 1)
        if version > 1:
            state["class_version"] = version
        return StoredEvent(
            domain_event.originator_id,
            domain_event.originator_version,
            get_topic(event_class),
            self._recordable(event_class, state),
        )

    def _recordable(self, event_class: type, state: dict[str, Any]) -> bytes:
        try:
            encoded = self.transcoder.encode(state)
            require_recordable(event_class, state, encoded)
            return encoded
        except UnicodeEncodeError:
            raise Unrecordable("half of a character (a lone surrogate)") from None
        except (ValueError, OverflowError, RecursionError):
            raise Unrecordable("a number or a nesting that is too large") from None

    def to_facts(self, topic: str, state: bytes) -> dict[str, Any]:
        """Return the stored facts, upcast to the present version, without building the event.

        Raises MapperDeserialisationError for a topic or a state that cannot be read.
        """
        try:
            event_class = resolve_topic(topic)
            facts: dict[str, Any] = self.transcoder.decode(state)
            version = facts.pop("class_version", 1)
            while version < getattr(event_class, "class_version", 1):
                getattr(event_class, f"upcast_v{version}_v{version + 1}")(facts)
                version += 1
        except MemoryError:  # says nothing about the event
            raise
        except Exception as error:
            raise MapperDeserialisationError(f"unreadable event of topic {topic}") from error
        return facts

    def to_domain_event(self, stored_event: StoredEvent) -> CanMutateAggregate[UUID]:
        """Return the event that was stored, upcast to the present version of its class.

        Raises MapperDeserialisationError for a topic or a state that cannot be read.
        """
        facts = self.to_facts(stored_event.topic, stored_event.state)
        try:
            facts["timestamp"] = facts.pop("occurred_at")
            facts["originator_id"] = stored_event.originator_id
            facts["originator_version"] = stored_event.originator_version
            event = msgspec.convert(
                facts, resolve_topic(stored_event.topic), dec_hook=_decode_unknown
            )
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise MapperDeserialisationError(
                f"event {stored_event.originator_id} version {stored_event.originator_version} "
                f"of topic {stored_event.topic} does not fit its class: {error}"
            ) from error
        return cast("CanMutateAggregate[UUID]", event)
