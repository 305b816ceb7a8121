"""Which errors each route may answer, in the OpenAPI document.

The framework assumes errors of its own shape and knows nothing of what guards and handlers raise:
here every operation gets the one shape of this service, and the statuses that its path implies.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from litestar import Litestar
from litestar.openapi.spec import (
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    PathItem,
    Reference,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIType

JSON = "application/json"
_DESCRIPTIONS: Mapping[str, str] = {
    "400": "The request is refused",
    "401": "The caller is not authenticated; see WWW-Authenticate",
    "403": "The access token lacks the scope that the endpoint needs",
    "404": "There is no such object",
    "405": "The endpoint takes POST",
    "409": "The act does not fit the present state: taken, too early, or somebody was faster",
    "413": "The body is over 64 KiB",
    "429": "The client or its address asks too often; see Retry-After",
    "500": "Failed unexpectedly; report it with the request id",
    "503": "PostgreSQL is away: nothing can be recorded or read; see Retry-After",
}
OAUTH_STATUSES = ("400", "401", "405", "413", "429", "500", "503")
_GUARDED_STATUSES = ("400", "401", "403", "500", "503")
_USERINFO_PATH = "/oauth/userinfo"
_OTHER_FORMS: Mapping[str, Sequence[str]] = {
    "/audit/events": ("application/x-ndjson",),
    "/reports/{report_name}": ("text/csv", "application/vnd.apache.parquet"),
}
# Objects that a body names and no path: see IssuerName.
_NAMED_IN_BODY = ("/admin/issuers/remove", "/admin/issuers/test")


def _text(description: str, example: str) -> Schema:
    return Schema(type=OpenAPIType.STRING, description=description, examples=[example])


_ERROR = Schema(
    type=OpenAPIType.OBJECT,
    required=["error", "error_description", "error_uri", "request_id"],
    properties={
        "error": _text("RFC 6749, Section 5.2", "invalid_scope"),
        "error_description": _text("For the developer", "not in the client's grant: admin"),
        "error_uri": _text(
            "What it means, what to do", "https://auth.example/errors#invalid_scope"
        ),
        "request_id": _text("Leads to the cause in the record", "req_1f0c6a0e9b7d4c2a8e5f3b1d"),
    },
)


def header(description: str, *, example: str) -> OpenAPIHeader:
    """Return the description of a header that an answer always carries."""
    return OpenAPIHeader(schema=_text(description, example), description=description, required=True)


Headers = Mapping[str, OpenAPIHeader | Reference]
_EVERY_ERROR: Headers = {
    "X-Request-Id": header("The request id of the body", example="req_1f0c6a0e9b7d4c2a8e5f3b1d"),
    "Cache-Control": header("Never kept", example="no-store"),
}
_CHALLENGE = header(
    "How to authenticate (RFC 6750, RFC 7617)", example='Bearer realm="grantledger"'
)
_OF_STATUS: Mapping[str, Headers] = {
    "401": {"WWW-Authenticate": _CHALLENGE},
    "403": {"WWW-Authenticate": _CHALLENGE},
    "405": {"Allow": header("What the endpoint takes", example="POST")},
    "429": {"Retry-After": header("Seconds until there is room again", example="30")},
    "503": {"Retry-After": header("Seconds until it is worth another try", example="1")},
}


def error_responses(statuses: Iterable[str]) -> dict[str, OpenAPIResponse]:
    """Return the description of an error answer for each of `statuses`."""
    return {
        status: OpenAPIResponse(
            description=_DESCRIPTIONS[status],
            content={JSON: OpenAPIMediaType(schema=_ERROR)},
            headers={**_EVERY_ERROR, **_OF_STATUS.get(status, {})},
        )
        for status in statuses
    }


def describe_errors(app: Litestar) -> None:
    """Give each route of `app` that wants a token its errors; and the rest their statuses."""
    paths = app.openapi_schema.paths
    assert paths is not None
    for path, item in paths.items():
        for method, operation in _operations(item):
            if path.startswith(("/admin", "/audit", "/reports", _USERINFO_PATH)):
                statuses = _guarded(path, method, has_body=operation.request_body is not None)
                _add(operation, error_responses(statuses))
    for path, media_types in _OTHER_FORMS.items():
        asked = paths[path].get
        assert asked is not None
        _offer(asked, media_types)
    for path, status, description in (
        ("/readyz", "503", "Requests may not be sent here at the moment; the parts say why"),
        ("/oauth/jwks.json", "304", "The key set is still the one named by If-None-Match"),
    ):
        asked = paths[path].get
        assert asked is not None
        _add(asked, {status: OpenAPIResponse(description=description)})


def _offer(operation: Operation, media_types: Sequence[str]) -> None:
    """Say that the answer comes in other forms as well, by a parameter of the query."""
    answer = (operation.responses or {})["200"]
    assert isinstance(answer, OpenAPIResponse)
    text = OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING))
    answer.content = {**(answer.content or {}), **dict.fromkeys(media_types, text)}


def _guarded(path: str, method: str, *, has_body: bool) -> list[str]:
    statuses = [*_GUARDED_STATUSES]
    if "{" in path and not path.endswith("/last-used"):  # of an unknown client: never used
        statuses.append("404")
    if path in _NAMED_IN_BODY:
        statuses.append("404")
    if method != "get" and path != _USERINFO_PATH:
        statuses.append("409")
    if has_body:
        statuses.append("413")
    return sorted(statuses)


def _operations(item: PathItem) -> Iterator[tuple[str, Operation]]:
    for method in ("get", "post", "put", "patch"):
        operation = getattr(item, method)
        if operation is not None:
            yield method, operation


def _add(operation: Operation, responses: Mapping[str, OpenAPIResponse]) -> None:
    operation.responses = {**(operation.responses or {}), **responses}
