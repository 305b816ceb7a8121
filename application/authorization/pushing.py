"""Pushed authorization requests (RFC 9126): the client sends the request itself, authenticated.

The reference is 256 random bits, kept as a hash of it and its client, good for one use within 90
seconds: under another client's name it is not found, so that nobody who saw it can use it up. After
that use the browser carries the request sealed, so that a reload of a page does no harm.
"""

import secrets
from datetime import timedelta
from hashlib import sha256
from typing import Protocol

import msgspec

from application.authorization.request import AuthorizationRequest
from application.errors import InvalidRequestUri
from application.one_time_values import OneTimeValues
from application.request_context import RequestContext

LIFETIME = timedelta(seconds=90)
PREFIX = "urn:ietf:params:oauth:request_uri:"
_KIND = "pushed_request"


class _Service(Protocol):
    @property
    def one_time(self) -> OneTimeValues: ...


async def push(request: AuthorizationRequest, context: RequestContext, service: _Service) -> str:
    """Keep a request that was checked and return its `request_uri`. Raises LedgerUnavailable."""
    reference = secrets.token_urlsafe(32)
    now = context.provenance.occurred_at
    await service.one_time.put(
        _KIND,
        _key(request.client_id, reference),
        msgspec.json.encode(request),
        expires_at=now + LIFETIME,
    )
    return PREFIX + reference


async def pushed_request(
    request_uri: str, client_id: str, context: RequestContext, service: _Service
) -> AuthorizationRequest:
    """Return the request that a client pushed, once.

    Raises InvalidRequestUri for one that is unknown, used, expired or another client's,
    LedgerUnavailable.
    """
    reference = request_uri.removeprefix(PREFIX)
    content = None
    if request_uri.startswith(PREFIX):
        now = context.provenance.occurred_at
        content = await service.one_time.take(_KIND, _key(client_id, reference), now=now)
    if content is None:
        raise InvalidRequestUri("the request_uri is unknown, used or expired")
    return msgspec.json.decode(content, type=AuthorizationRequest)


def _key(client_id: str, reference: str) -> bytes:
    return sha256(f"{client_id}\0{reference}".encode()).digest()
