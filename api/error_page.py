"""The page that `error_uri` leads to: what each error means and what to do about it."""

import base64
from hashlib import sha256
from html import escape

from litestar import MediaType, Response, get

_EXPLAINED: tuple[tuple[str, str, str], ...] = (
    (
        "invalid_request",
        (
            "A parameter is missing, repeated, empty or malformed, the body is not a form, or a "
            "token to be exchanged is not usable."
        ),
        "Send application/x-www-form-urlencoded in UTF-8, each parameter once, none empty.",
    ),
    (
        "invalid_client",
        (
            "The client could not be authenticated. The cause is not told, so that nobody can "
            "probe for clients; it is in the record under the request id."
        ),
        (
            "Check client_id and secret or key, and that it is the method the client is registered "
            "for. An administrator can read the cause in the audit trail."
        ),
    ),
    (
        "invalid_grant",
        (
            "A code, refresh token, device code or assertion is invalid, expired, revoked, used or "
            "another client's. The cause is not told; it is in the record under the request id."
        ),
        "Use what was issued to this client, once. Where it keeps failing, let the person log in.",
    ),
    (
        "invalid_dpop_proof",
        (
            "The DPoP proof is missing where one is needed, or proves nothing: the description "
            "says what is wrong with it."
        ),
        (
            "Sign a proof for each request: its method and URL, a fresh jti, the time, and the "
            "hash of the access token that comes with it (RFC 9449)."
        ),
    ),
    (
        "use_dpop_nonce",
        "The DPoP proof lacks a nonce of this service that is current.",
        (
            "Put the value of the header DPoP-Nonce into the claim nonce of the next proof, and "
            "send the request again."
        ),
    ),
    (
        "unauthorized_client",
        "The client may not use this grant type or endpoint.",
        "Register the grant type for the client, or use a confidential client.",
    ),
    (
        "unsupported_grant_type",
        "The service has no such grant type.",
        "Look at grant_types_supported in the metadata.",
    ),
    (
        "invalid_scope",
        "A scope is unknown or malformed, or nothing that was asked for can be granted.",
        (
            "The description names what is lacking: on the client, or on its owner. Some scopes "
            "need an audience."
        ),
    ),
    (
        "invalid_authorization_details",
        (
            "The authorization_details are malformed, do not fit their type, are of a type that "
            "the client may not use, or go beyond what was granted."
        ),
        (
            "Look at authorization_details_types_supported in the metadata, and ask for what was "
            "granted or a part of it."
        ),
    ),
    (
        "invalid_target",
        "The audience or resource is not one that this client may address.",
        "Ask for an allowed audience, or have it added to the client.",
    ),
    (
        "authorization_pending",
        "The person has not decided about the device yet.",
        "Poll again after the interval.",
    ),
    (
        "slow_down",
        "The device polls too often.",
        "Add 5 seconds to its interval, and poll again after that.",
    ),
    (
        "expired_token",
        "The device code has ended.",
        "Ask for a new one.",
    ),
    (
        "access_denied",
        "The person, or the rules, said no.",
        "Ask the person; do not ask again by yourself.",
    ),
    (
        "unsupported_response_type",
        "The authorization endpoint answers with codes alone.",
        "Send response_type=code.",
    ),
    (
        "login_required",
        "The request forbids a login page, and nobody is logged in.",
        "Send the request again without prompt=none.",
    ),
    (
        "consent_required",
        "The request forbids a consent page, and the person has not consented.",
        "Send the request again without prompt=none.",
    ),
    (
        "request_not_supported",
        "Request objects are not supported.",
        "Push the request instead (RFC 9126).",
    ),
    (
        "invalid_request_uri",
        "The pushed request is unknown, used, expired or another client's.",
        "Push the request again; a request_uri is good for one use within 90 seconds.",
    ),
    (
        "invalid_redirect_uri",
        "A redirect URI is malformed, lacking, or of a kind that may not be registered here.",
        "Use https, or another kind that the operator allows to clients that register themselves.",
    ),
    (
        "invalid_client_metadata",
        "What the client says about itself is malformed, contradicts itself, or is not allowed.",
        "The description names the member. A metadata document must be there for everybody.",
    ),
    (
        "invalid_software_statement",
        "The software statement is malformed, expired or not signed by its publisher.",
        "Ask the publisher of the software for a new one.",
    ),
    (
        "unapproved_software_statement",
        "The publisher of the software is not one that this service trusts.",
        "Register without the statement, or ask the operator to trust the publisher.",
    ),
    (
        "invalid_token",
        "The access token is expired, revoked, malformed or meant for somebody else.",
        "Get a new token, for this service as its audience.",
    ),
    (
        "insufficient_user_authentication",
        "The person behind the access token logged in too long ago for this endpoint.",
        (
            "Send the person to log in again, with the max_age of the challenge in the "
            "authorization request, and use the new token."
        ),
    ),
    (
        "insufficient_scope",
        "The access token does not carry the scope that this endpoint needs.",
        "Ask for the scope that the description names.",
    ),
    ("not_found", "There is no such object.", "Check the name in the path."),
    (
        "conflict",
        "The act does not fit the present state: the name is taken, or somebody was faster.",
        "Read the object again and decide anew.",
    ),
    (
        "too_many_requests",
        "The client, or the address it asks from, asks more often than it may.",
        "Try again after the seconds in Retry-After, and keep tokens for as long as they live.",
    ),
    (
        "temporarily_unavailable",
        (
            "The service cannot record at the moment, or cannot reach the issuer of a token to be "
            "exchanged; it issues nothing that it cannot record or verify."
        ),
        "Try again after the seconds in Retry-After.",
    ),
    (
        "server_error",
        "Something failed that should not have.",
        "Report it with the request id.",
    ),
)

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.6 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; }
section { border-top: 1px solid #8884; padding: 1rem 0; }
section:target { background: #fc03; outline: 0.5rem solid #fc03; }
h2 { font: 600 1.05rem ui-monospace, monospace; margin: 0; }
p { margin: 0.4rem 0 0; }
strong { font-weight: 600; }
"""
_POLICY = (
    "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def _page() -> str:
    sections = "\n".join(
        f'<section id="{code}"><h2>{code}</h2><p>{escape(meaning)}</p>'
        f"<p><strong>What to do:</strong> {escape(remedy)}</p></section>"
        for code, meaning, remedy in _EXPLAINED
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Errors of the token service</title><style>{_STYLE}</style></head><body>"
        "<h1>Errors of the token service</h1>"
        "<p>Each error carries one of these codes and a request id, by which it is found in the "
        f"logs and in the audit trail.</p>{sections}</body></html>"
    )


def explained_codes() -> frozenset[str]:
    """Return the error codes that the page explains."""
    return frozenset(code for code, _, _ in _EXPLAINED)


@get("/errors", include_in_schema=False, media_type=MediaType.HTML)
async def error_page() -> Response[str]:
    """Explain every error code; the fragment of `error_uri` marks one."""
    return Response(
        _page(),
        headers={
            "Content-Security-Policy": _POLICY.format(digest=_style_digest()),
            "Cache-Control": "public, max-age=3600",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        },
    )


def _style_digest() -> str:
    return base64.b64encode(sha256(_STYLE.encode()).digest()).decode()
