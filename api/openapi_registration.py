"""Registration in the OpenAPI document: bodies of others' making, which are read by hand."""

from typing import Any

from litestar import Litestar
from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Parameter,
    PathItem,
    RequestBody,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIType

from api.openapi_errors import JSON, error_responses
from api.registration_endpoint import REGISTRATION_PATH
from application.registration.metadata import METHODS

_TAG = "Registration"
_STATUSES = ("400", "401", "404", "413", "500", "503")
_PATH = f"{REGISTRATION_PATH}/{{client_id}}"


def _text(description: str, **more: Any) -> Schema:
    return Schema(type=OpenAPIType.STRING, description=description, **more)


def _texts(description: str) -> Schema:
    items = Schema(type=OpenAPIType.STRING)
    return Schema(type=OpenAPIType.ARRAY, items=items, description=description)


def _switch(description: str) -> Schema:
    return Schema(type=OpenAPIType.BOOLEAN, description=description)


_METADATA = {
    "client_name": _text("What people are shown", examples=["My tool"]),
    "redirect_uris": _texts("Where codes are sent"),
    "post_logout_redirect_uris": _texts("Where a logout may lead"),
    "token_endpoint_auth_method": _text("How it authenticates", enum=list(METHODS)),
    "grant_types": _texts("authorization_code if left out"),
    "response_types": _texts("code, with authorization_code"),
    "scope": _text("Separated by spaces; all it may have if left out"),
    "jwks": Schema(type=OpenAPIType.OBJECT, description="Its public keys (RFC 7517)"),
    "jwks_uri": _text("Where it publishes them"),
    "id_token_signed_response_alg": _text("That signs its tokens", examples=["ES256"]),
    "dpop_bound_access_tokens": _switch("Its tokens are bound to a key (RFC 9449)"),
    "tls_client_certificate_bound_access_tokens": _switch("To its certificate (RFC 8705)"),
    "require_pushed_authorization_requests": _switch("Its requests are pushed (RFC 9126)"),
    **{
        f"tls_client_auth_{kind}": _text("The name in its certificate (RFC 8705)")
        for kind in ("subject_dn", "san_dns", "san_uri", "san_ip", "san_email")
    },
    "software_id": _text("The same for every copy of the software"),
    "software_version": _text("Of the software"),
    **{name: _text("A page about it") for name in ("client_uri", "tos_uri", "policy_uri")},
    "logo_uri": _text("A picture of it"),
    "software_statement": _text("What its publisher signed about it (RFC 7591, Section 2.3)"),
}
_ANSWER = Schema(
    type=OpenAPIType.OBJECT,
    required=["client_id", "registration_access_token", "registration_client_uri"],
    properties={
        **_METADATA,
        "client_id": _text("The name of the client"),
        "client_id_issued_at": Schema(type=OpenAPIType.INTEGER, description="Seconds since 1970"),
        "client_secret": _text("Shown where it is made, and never again"),
        "client_secret_expires_at": Schema(type=OpenAPIType.INTEGER, description="0: it does not"),
        "registration_access_token": _text("Manages the registration (RFC 7592)"),
        "registration_client_uri": _text("Where that is done"),
    },
)
_BODY = RequestBody(
    content={
        JSON: OpenAPIMediaType(schema=Schema(type=OpenAPIType.OBJECT, properties=dict(_METADATA)))
    },
    required=True,
)


def add_registration_paths(app: Litestar) -> None:
    """Describe registration and its management in the document of `app`."""
    paths = app.openapi_schema.paths
    assert paths is not None
    paths[REGISTRATION_PATH] = PathItem(
        post=_operation(
            "RegisterClient",
            "Register a client (RFC 7591), where the deployment lets clients do so",
            done="201",
            body=True,
            more=("409", "429"),
        )
    )
    named = Parameter(
        name="client_id",
        param_in="path",
        required=True,
        schema=Schema(type=OpenAPIType.STRING),
    )
    paths[_PATH] = PathItem(
        parameters=[named],
        get=_operation("ReadRegistration", "What is registered (RFC 7592, Section 2.1)"),
        put=_operation(
            "UpdateRegistration",
            "Replace what the client says about itself (RFC 7592, Section 2.2)",
            body=True,
            more=("409", "429"),
        ),
        delete=_operation(
            "DeleteRegistration",
            "Disable the client (RFC 7592, Section 2.3)",
            done="204",
            more=("409", "429"),
        ),
    )


def _operation(
    name: str, summary: str, *, done: str = "200", body: bool = False, more: tuple[str, ...] = ()
) -> Operation:
    content = None if done == "204" else {JSON: OpenAPIMediaType(schema=_ANSWER)}
    return Operation(
        tags=[_TAG],
        operation_id=name,
        summary=summary,
        request_body=_BODY if body else None,
        responses={
            done: OpenAPIResponse(description="Done", content=content),
            **error_responses(sorted((*_STATUSES, *more))),
        },
        security=[{"bearer": []}, {}],
    )
