"""The OAuth endpoints in the OpenAPI document: plain ASGI callables do not describe themselves."""

from collections.abc import Mapping, Sequence
from typing import Any

from litestar import Litestar
from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Parameter,
    PathItem,
    Reference,
    RequestBody,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIType

from api.client_credentials_header import CLIENT_ASSERTION_TYPE
from api.openapi_errors import JSON, OAUTH_STATUSES, error_responses
from api.person_endpoints import DEVICE_AUTHORIZATION_PATH, PAR_PATH
from api.signed_introspection import MEDIA_TYPE
from api.token_endpoint import INTROSPECTION_PATH, REVOCATION_PATH, TOKEN_PATH
from application.grants.token_exchange import ACTOR_TOKEN_TYPES, ID_JAG_TYPE
from application.subject_tokens import SUBJECT_TOKEN_TYPES
from domain.client_configuration import GRANT_TYPES

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
    "client_assertion": _text("Instead of a secret: what the client's key signed (RFC 7523)"),
    "client_assertion_type": _text("With client_assertion", enum=[CLIENT_ASSERTION_TYPE]),
}
_DETAILS = _text("A JSON array of objects, each with its type (RFC 9396)")
_GRANTED = Schema(
    type=OpenAPIType.ARRAY,
    items=Schema(type=OpenAPIType.OBJECT),
    description="Authorization details, where there are any (RFC 9396)",
)
_TOKEN_FORM = {
    "grant_type": _text("What is exchanged", "client_credentials", enum=list(GRANT_TYPES)),
    "code": _text("authorization_code: the code"),
    "code_verifier": _text("authorization_code: the PKCE verifier (RFC 7636)"),
    "redirect_uri": _text("authorization_code: that of the request, where it is sent"),
    "refresh_token": _text("refresh_token: the current one of its family"),
    "device_code": _text("device_code (RFC 8628)"),
    "subject_token": _text("token-exchange (RFC 8693): the token of whom to act for"),
    "subject_token_type": _text("token-exchange", enum=list(SUBJECT_TOKEN_TYPES)),
    "actor_token": _text("token-exchange: an access token of who acts, where not the client"),
    "actor_token_type": _text("token-exchange", enum=list(ACTOR_TOKEN_TYPES)),
    "requested_token_type": _text(
        "token-exchange; an ID-JAG where the deployment has it",
        enum=[*ACTOR_TOKEN_TYPES, ID_JAG_TYPE],
    ),
    "assertion": _text("jwt-bearer (RFC 7523): the JWT of a trusted issuer"),
    "scope": _text("Separated by spaces; all scopes of the client if left out", "service mcp"),
    "authorization_details": _DETAILS,
    "audience": _texts("Where the token will be used; may be repeated", "https://api.example"),
    "resource": _texts("The same as a URI (RFC 8707); may be repeated", "https://api.example"),
    **_CREDENTIALS,
}
_TOKEN_ANSWER = Schema(
    type=OpenAPIType.OBJECT,
    required=["access_token", "token_type", "expires_in", "scope"],
    properties={
        "access_token": _text("A JWT access token (RFC 9068)", "eyJhbGciOiJFUzI1NiIs..."),
        "token_type": _text(
            "How to present it (RFC 6750, RFC 9449)", "Bearer", enum=["Bearer", "DPoP", "N_A"]
        ),
        "expires_in": Schema(type=OpenAPIType.INTEGER, description="Seconds", examples=[3600]),
        "scope": _text("What was granted, highest level first", "service mcp"),
        "refresh_token": _text("For a person's grant, where the client gets one"),
        "id_token": _text("With the scope openid (OpenID Connect Core, Section 2)"),
        "issued_token_type": _text("token-exchange (RFC 8693, Section 2.2.1)"),
        "authorization_details": _GRANTED,
    },
)
_REQUEST_FORM = {
    "response_type": _text("Always code", "code", enum=["code"]),
    "redirect_uri": _text("One that is registered", "https://client.example/callback"),
    "scope": _text("Separated by spaces", "openid user"),
    "state": _text("Comes back with the answer"),
    "nonce": _text("Comes back in the ID token"),
    "code_challenge": _text("PKCE, S256 (RFC 7636)"),
    "code_challenge_method": _text("Always S256", "S256", enum=["S256"]),
    "response_mode": _text("How the answer travels", enum=["query", "form_post"]),
    "prompt": _text("none, login, consent or select_account"),
    "max_age": _text("Seconds since the login, at most"),
    "login_hint": _text("What the login page is filled in with"),
    "id_token_hint": _text("Who has to be logged in"),
    "resource": _texts("Where the tokens will be used (RFC 8707)", "https://api.example"),
    "authorization_details": _DETAILS,
    "dpop_jkt": _text("The key that the code is bound to (RFC 9449, Section 10)"),
    **_CREDENTIALS,
}
_PUSHED = Schema(
    type=OpenAPIType.OBJECT,
    required=["request_uri", "expires_in"],
    properties={
        "request_uri": _text(
            "For the authorization request", "urn:ietf:params:oauth:request_uri:X"
        ),
        "expires_in": Schema(type=OpenAPIType.INTEGER, description="Seconds", examples=[90]),
    },
)
_DEVICE_FORM = {
    "scope": _text("Separated by spaces", "openid user"),
    "resource": _texts("Where the tokens will be used (RFC 8707)", "https://api.example"),
    "authorization_details": _DETAILS,
    **_CREDENTIALS,
}
_DEVICE_ANSWER = Schema(
    type=OpenAPIType.OBJECT,
    required=["device_code", "user_code", "verification_uri", "expires_in", "interval"],
    properties={
        "device_code": _text("To poll with"),
        "user_code": _text("For the person to type", "BCDF-GHJK"),
        "verification_uri": _text("Where to type it", "https://auth.example/device"),
        "verification_uri_complete": _text("The same with the code in it"),
        "expires_in": Schema(type=OpenAPIType.INTEGER, description="Seconds", examples=[600]),
        "interval": Schema(type=OpenAPIType.INTEGER, description="Seconds", examples=[5]),
    },
)
_ONE_TOKEN_FORM = {
    "token": _text("The access token", "eyJhbGciOiJFUzI1NiIs..."),
    "token_type_hint": _text("Taken and not needed", "access_token"),
    **_CREDENTIALS,
}
_REVOCATION_FORM = {
    **_ONE_TOKEN_FORM,
    "include_descendants": _text(
        "Whether what was exchanged for it is void too", "false", enum=["true", "false"]
    ),
}
_INTROSPECTION_ANSWER = Schema(
    type=OpenAPIType.OBJECT,
    required=["active"],
    properties={
        "active": Schema(type=OpenAPIType.BOOLEAN, description="False says nothing more"),
        "token_type": _text("How it is presented", enum=["Bearer", "DPoP"]),
        "cnf": Schema(
            type=OpenAPIType.OBJECT, description="The key it is bound to: jkt or x5t#S256"
        ),
        "authorization_details": _GRANTED,
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


_PROOF = Parameter(
    name="DPoP",
    param_in="header",
    description="A proof of the key to bind what is issued to (RFC 9449)",
    schema=_text("A JWT of the type dpop+jwt"),
    required=False,
)


def add_oauth_paths(app: Litestar) -> None:
    """Describe the token, introspection and revocation endpoints in the document of `app`."""
    paths = app.openapi_schema.paths
    assert paths is not None
    paths[TOKEN_PATH] = _operation(
        "Token",
        "Get an access token",
        _TOKEN_FORM,
        ["grant_type"],
        _TOKEN_ANSWER,
        parameters=[_PROOF],
    )
    paths[PAR_PATH] = _operation(
        "Push",
        "Push an authorization request (RFC 9126)",
        _REQUEST_FORM,
        ["response_type", "scope", "code_challenge", "code_challenge_method"],
        _PUSHED,
        done="201",
        parameters=[_PROOF],
    )
    paths[DEVICE_AUTHORIZATION_PATH] = _operation(
        "Device", "Begin a device authorization (RFC 8628)", _DEVICE_FORM, ["scope"], _DEVICE_ANSWER
    )
    paths[INTROSPECTION_PATH] = _operation(
        "Introspect",
        "Is this token good? (RFC 7662)",
        _ONE_TOKEN_FORM,
        ["token"],
        _INTROSPECTION_ANSWER,
        more={MEDIA_TYPE: OpenAPIMediaType(schema=_text("A signed JWT (RFC 9701)"))},
    )
    paths[REVOCATION_PATH] = _operation(
        "Revoke", "Void a token of the client's own (RFC 7009)", _REVOCATION_FORM, ["token"], None
    )


def _operation(
    name: str,
    summary: str,
    form: Mapping[str, Schema],
    required: list[str],
    answer: Schema | None,
    *,
    done: str = "200",
    parameters: Sequence[Parameter] = (),
    more: Mapping[str, OpenAPIMediaType] | None = None,
) -> PathItem:
    body = Schema(type=OpenAPIType.OBJECT, properties=dict(form), required=required)
    content = None if answer is None else {JSON: OpenAPIMediaType(schema=answer), **(more or {})}
    responses: dict[str, OpenAPIResponse | Reference] = {
        done: OpenAPIResponse(description="Done", content=content),
        **error_responses(OAUTH_STATUSES),
    }
    return PathItem(
        post=Operation(
            tags=[_TAG],
            operation_id=name,
            summary=summary,
            parameters=list(parameters) or None,
            request_body=RequestBody(content={_FORM: OpenAPIMediaType(schema=body)}, required=True),
            responses=responses,
            security=[{"client": []}, {}],
        )
    )
