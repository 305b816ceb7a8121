"""The client's credentials as they travel (RFC 6749, Section 2.3.1).

1 at most one Authorization header, 2 of scheme Basic, 3 base64 of UTF-8, form-encoded id and
secret, 4 not several of header, secret in the body and assertion: "The client MUST NOT use more
than one authentication method in each request.", 5 an assertion (RFC 7521, Section 4.2) is a JWT
whose subject is the client that the request names, if it names one.
"""

import base64
import binascii
from urllib.parse import unquote_to_bytes

from api.forms import Form
from application.client_authentication import PresentedCredentials
from application.errors import InvalidClient, InvalidRequest
from application.secret_keys import PresentedSecret
from application.unverified_jwt import UnreadableJwt, read_jwt
from domain.client_configuration import PRIVATE_KEY_JWT

CLIENT_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def presented_credentials(authorization: bytes | None, form: Form) -> PresentedCredentials | None:
    """Return what the request carries, or None where it carries nothing.

    Raises InvalidRequest for two methods at once, InvalidClient for an unreadable header.
    """
    client_id, secret = form.get("client_id"), form.get("client_secret")
    assertion, kind = form.get("client_assertion"), form.get("client_assertion_type")
    if assertion is not None or kind is not None:
        if authorization is not None or secret is not None:  # 4
            raise InvalidRequest("more than one client authentication method")
        return _from_assertion(assertion, kind, client_id)
    if authorization is None:
        if client_id is None:
            return None
        if secret is None:
            return PresentedCredentials(client_id, None, "none")
        return PresentedCredentials(client_id, PresentedSecret(secret), "client_secret_post")
    presented = _from_header(authorization)
    if secret is not None:  # 4
        raise InvalidRequest("more than one client authentication method")
    if client_id is not None and client_id != presented.client_id:
        raise InvalidRequest("client_id differs from the authenticated client")
    return presented


def _from_assertion(
    assertion: str | None, kind: str | None, client_id: str | None
) -> PresentedCredentials:
    """5."""
    if assertion is None or kind != CLIENT_ASSERTION_TYPE:
        raise InvalidRequest(
            f"client_assertion comes with client_assertion_type {CLIENT_ASSERTION_TYPE}"
        )
    try:
        read = read_jwt(assertion)
    except UnreadableJwt as error:
        raise InvalidClient(reason=str(error)) from None
    subject = read.claims.get("sub")
    if not isinstance(subject, str):
        raise InvalidClient(reason="assertion without a subject")
    if client_id is not None and client_id != subject:
        raise InvalidRequest("client_id differs from the authenticated client")
    return PresentedCredentials(subject, None, PRIVATE_KEY_JWT, read)


def _from_header(authorization: bytes) -> PresentedCredentials:
    scheme, _, encoded = authorization.partition(b" ")
    if scheme.lower() != b"basic":  # 2
        raise InvalidClient(reason="unsupported authentication scheme")
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        if not colon:
            raise InvalidClient(reason="malformed authorization header")
        return PresentedCredentials(
            _form_decoded(user), PresentedSecret(_form_decoded(password)), "client_secret_basic"
        )
    except (binascii.Error, UnicodeDecodeError):  # 3
        raise InvalidClient(reason="malformed authorization header") from None


def _form_decoded(value: bytes) -> str:
    if b"%" not in value and b"+" not in value:
        return value.decode()
    return unquote_to_bytes(value.replace(b"+", b" ")).decode()
