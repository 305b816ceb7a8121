"""The OAuth endpoints in the OpenAPI document: plain ASGI callables do not describe themselves."""

from collections.abc import Mapping
from typing import Any

from litestar import Litestar
from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    PathItem,
    Reference,
    RequestBody,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIType

from api.openapi_errors import JSON, OAUTH_STATUSES, error_responses
from api.token_endpoint import INTROSPECTION_PATH, REVOCATION_PATH, TOKEN_PATH

_FORM = "application/x-www-form-urlencoded"
_TAG = "OAuth"


def _text(description: str, example: Any = None, **more: Any) -> Schema:
    examples = None if example is None else [example]
    return Schema(type=OpenAPIType.STRING, description=description, examples=examples, **more)


def _texts(description: str, example: str) -> Schema:
    # As OpenAPI 3.1 encodes an array in a form: the name once for each value.
    items = Schema(type=OpenAPIType.STRING)
    return Schema(
        type=OpenAPIType.ARRAY, items=items, description=description, examples=[[example]]
    )


_CREDENTIALS = {
    "client_id": _text("With client_secret, instead of the Authorization header", "demo"),
    "client_secret": _text("Of the client", format="password"),
}
_TOKEN_FORM = {
    "grant_type": _text("RFC 6749, Section 4.4", "client_credentials", enum=["client_credentials"]),
    "scope": _text("Separated by spaces; all scopes of the client if left out", "service mcp"),
    "audience": _texts("Where the token will be used; may be repeated", "https://api.example"),
    "resource": _texts("The same as a URI (RFC 8707); may be repeated", "https://api.example"),
    **_CREDENTIALS,
}
_TOKEN_ANSWER = Schema(
    type=OpenAPIType.OBJECT,
    required=["access_token", "token_type", "expires_in", "scope"],
    properties={
        "access_token": _text("A JWT access token (RFC 9068)", "eyJhbGciOiJFUzI1NiIs..."),
        "token_type": _text("How to present it (RFC 6750)", "Bearer"),
        "expires_in": Schema(type=OpenAPIType.INTEGER, description="Seconds", examples=[3600]),
        "scope": _text("What was granted, highest level first", "service mcp"),
    },
)
_ONE_TOKEN_FORM = {
    "token": _text("The access token", "eyJhbGciOiJFUzI1NiIs..."),
    "token_type_hint": _text("Taken and not needed", "access_token"),
    **_CREDENTIALS,
}
_INTROSPECTION_ANSWER = Schema(
    type=OpenAPIType.OBJECT,
    required=["active"],
    properties={
        "active": Schema(type=OpenAPIType.BOOLEAN, description="False says nothing more"),
        "token_type": _text("Bearer"),
        "iss": _text("Issuer"),
        "sub": _text("The owner, or the client itself", "owner-1"),
        "aud": Schema(
            description="One audience, or a list of them",
            one_of=[
                Schema(type=OpenAPIType.STRING),
                Schema(type=OpenAPIType.ARRAY, items=Schema(type=OpenAPIType.STRING)),
            ],
        ),
        "client_id": _text("The client it was issued to", "demo"),
        "scope": _text("What it grants", "service mcp"),
        "jti": _text("Its id in the audit trail", format="uuid"),
        "sid": _text("Its session"),
        "exp": Schema(type=OpenAPIType.INTEGER, description="Seconds since 1970"),
        "iat": Schema(type=OpenAPIType.INTEGER, description="Seconds since 1970"),
        "nbf": Schema(type=OpenAPIType.INTEGER, description="Seconds since 1970"),
        "plugin_id": _text("Where the client has one"),
    },
)


def add_oauth_paths(app: Litestar) -> None:
    """Describe the token, introspection and revocation endpoints in the document of `app`."""
    paths = app.openapi_schema.paths
    assert paths is not None
    paths[TOKEN_PATH] = _operation(
        "Token", "Get an access token", _TOKEN_FORM, ["grant_type"], _TOKEN_ANSWER
    )
    paths[INTROSPECTION_PATH] = _operation(
        "Introspect",
        "Is this token good? (RFC 7662)",
        _ONE_TOKEN_FORM,
        ["token"],
        _INTROSPECTION_ANSWER,
    )
    paths[REVOCATION_PATH] = _operation(
        "Revoke", "Void a token of the client's own (RFC 7009)", _ONE_TOKEN_FORM, ["token"], None
    )


def _operation(
    name: str,
    summary: str,
    form: Mapping[str, Schema],
    required: list[str],
    answer: Schema | None,
) -> PathItem:
    body = Schema(type=OpenAPIType.OBJECT, properties=dict(form), required=required)
    content = None if answer is None else {JSON: OpenAPIMediaType(schema=answer)}
    responses: dict[str, OpenAPIResponse | Reference] = {
        "200": OpenAPIResponse(description="Done", content=content),
        **error_responses(OAUTH_STATUSES),
    }
    return PathItem(
        post=Operation(
            tags=[_TAG],
            operation_id=name,
            summary=summary,
            request_body=RequestBody(content={_FORM: OpenAPIMediaType(schema=body)}, required=True),
            responses=responses,
            security=[{"client": []}, {}],
        )
    )
