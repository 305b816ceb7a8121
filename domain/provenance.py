"""Where an event comes from: when, in which request, and for an administrative act by whom."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Provenance:
    """The circumstances that every event carries.

    `occurred_at` is aware and UTC. `request_id` is the id in the response header and the logs.
    `traceparent` is the W3C Trace Context header of the caller, or empty. `by` and `why` name the
    acting person or client and the stated reason of an administrative act.
    """

    occurred_at: datetime
    request_id: str
    traceparent: str = ""
    by: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """The network side of a request: hashed under the pepper unless the settings keep it plain."""

    address: str
    user_agent: str
