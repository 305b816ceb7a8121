"""Introspection answers as JWTs (RFC 9701): for who has to prove what it was told.

Asked for by the media type in `Accept`, by name and not by a wildcard, unless JSON is liked better.
Signed by a key of ours with a `typ` of its own, and without `sub` and `exp`, so that it passes for
no token (Section 5); `aud` is the caller alone.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from api.composition import Service
from application.client_authentication import AuthenticatedClient
from application.request_context import RequestContext
from application.token_keys import INTROSPECTION_TYPE

MEDIA_TYPE = f"application/{INTROSPECTION_TYPE}"
_NAME = MEDIA_TYPE.encode()
_QVALUE = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")  # RFC 9110, Section 12.4.2


def is_asked_for(accept: bytes) -> bool:
    """Tell whether a value of the header Accept (RFC 9110, Section 12.5.1) prefers the JWT."""
    accept = accept.lower()
    if _NAME not in accept:
        return False
    weights = dict(map(_weighed, accept.decode("latin-1").split(",")))
    signed = weights.get(MEDIA_TYPE, 0.0)
    return signed > 0 and signed >= weights.get("application/json", 0.0)


def signed_answer(
    answer: Mapping[str, Any],
    caller: AuthenticatedClient,
    context: RequestContext,
    service: Service,
) -> bytes:
    """Return the JWT (RFC 9701, Section 5). Raises TemporarilyUnavailable without a key."""
    claims = {
        "iss": service.settings.issuer_url,
        "aud": caller.client.client_id,
        "iat": int(context.provenance.occurred_at.timestamp()),
        "token_introspection": dict(answer),
    }
    choice = service.keys.choose(caller.client.tokens.signing_algorithm)
    return service.keys.sign(claims, choice, token_type=INTROSPECTION_TYPE).encode()


def _weighed(part: str) -> tuple[str, float]:
    name, *parameters = (word.strip() for word in part.split(";"))
    return name, _weight(parameters)


def _weight(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return float(value) if _QVALUE.fullmatch(value.strip()) else 0.0
    return 1.0
