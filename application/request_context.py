"""What a use case knows about the request it serves, besides its parameters."""

import msgspec

from application.single_use import NO_NAMES, SingleUse
from domain.confirmation import Confirmation
from domain.provenance import Origin, Provenance


class RequestContext(msgspec.Struct, frozen=True):
    """The circumstances of one request: `origin` is hashed already, unless settings keep it.

    `confirmation` is the key that the sender proved to hold: what it is issued is bound to it.
    `network` is what rate limits know the sender's address by, hashed alike; "" where it has none.
    `once` holds the names that count once: a use case uses them before it reads or decides.
    """

    provenance: Provenance
    origin: Origin
    confirmation: Confirmation | None = None
    network: str = ""
    once: SingleUse = NO_NAMES
