"""The circumstances of a request out of its ASGI scope: who, from where, in which trace."""

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

import msgspec
from litestar.types import Scope

from api.client_network import address_of, network_of
from application.errors import InvalidRequest
from application.request_context import RequestContext
from domain.provenance import Origin, Provenance

if TYPE_CHECKING:  # the composition reads requests too
    from api.composition import Service

_MAX_USER_AGENT = 512
# W3C Trace Context, Section 3.2: version, trace-id, parent-id, flags.
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_WANTED = frozenset(
    {
        b"authorization",
        b"content-type",
        b"content-length",
        b"transfer-encoding",
        b"user-agent",
        b"traceparent",
        b"x-forwarded-for",
        b"dpop",
        b"accept",
    }
)
_ONCE = frozenset({b"authorization", b"content-type"})
_LISTS = frozenset({b"accept", b"x-forwarded-for"})


class RequestHeaders(msgspec.Struct, frozen=True):
    """The headers that decide something; absent ones are empty, `authorization` None.

    `content_length` is empty, too, where something else tells the length of the body: RFC 9112,
    Section 6.3: "the Transfer-Encoding overrides the Content-Length".
    """

    authorization: bytes | None
    content_type: bytes
    content_length: bytes
    user_agent: bytes
    traceparent: bytes
    forwarded_for: bytes
    dpop: tuple[bytes, ...] = ()
    accept: bytes = b""


def read_headers(scope: Scope) -> RequestHeaders:
    """Return the headers of a request. Raises InvalidRequest where one is given twice that may not.

    Two Authorization headers could be read differently by us and by a proxy before us.
    """
    found: dict[bytes, bytes] = {}
    proofs: tuple[bytes, ...] = ()
    for name, value in scope["headers"]:
        if name in _WANTED:
            if name in found and name in _ONCE:
                raise InvalidRequest(f"more than one {name.decode()} header")
            if name == b"dpop":
                proofs = (*proofs, value)
            # RFC 9110, Section 5.3: several lines of a list are one list.
            listed = name in _LISTS and name in found
            found[name] = found[name] + b"," + value if listed else value
    return RequestHeaders(
        authorization=found.get(b"authorization"),
        content_type=found.get(b"content-type", b""),
        content_length=(
            b"" if b"transfer-encoding" in found else found.get(b"content-length", b"")
        ),
        user_agent=found.get(b"user-agent", b""),
        traceparent=found.get(b"traceparent", b""),
        forwarded_for=found.get(b"x-forwarded-for", b""),
        dpop=proofs,
        accept=found.get(b"accept", b""),
    )


def request_context(
    scope: Scope, headers: RequestHeaders, provenance: Provenance, service: "Service"
) -> RequestContext:
    """Return the context of a request; network data is hashed unless the settings keep it."""
    address = client_address(
        scope, forwarded_for=headers.forwarded_for, trusted=service.settings.trusted_proxies
    )
    agent = headers.user_agent[:_MAX_USER_AGENT].decode("ascii", "replace")
    network = network_of(address)
    if service.settings.keep_network_data:
        return RequestContext(provenance, Origin(address, _printable(agent)), network=network)
    pseudonym = service.peppers.pseudonym
    origin = Origin(pseudonym(address), pseudonym(agent))
    hashed = origin.address if network == address else pseudonym(network)
    return RequestContext(provenance, origin, network=hashed)


def forwarded_for(scope: Scope) -> bytes:
    """Return X-Forwarded-For, empty where it is absent: each proxy may have added a line."""
    return b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")


def trace_of(traceparent: bytes) -> str:
    """Return a well-formed W3C traceparent, else an empty string."""
    return traceparent.decode() if _TRACEPARENT.fullmatch(traceparent) else ""


def client_address(scope: Scope, *, forwarded_for: bytes, trusted: Collection[str]) -> str:
    """Return the address that the request came from, as far as `trusted` proxies vouch for it.

    In one spelling: what is recorded and what is counted are about the same address.
    """
    client = scope["client"]
    peer = address_of(client[0]) if client else ""
    if peer not in trusted:
        return peer
    # From the right: what stands further left was written by somebody we do not know.
    for hop in reversed(forwarded_for.decode("ascii", "replace").split(",")):
        candidate = address_of(hop.strip())
        if candidate and candidate not in trusted:
            return _printable(candidate[:64])
    return peer


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
