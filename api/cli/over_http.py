"""The running service as a client sees it: over HTTP, with the standard library."""

import base64
import json
from collections.abc import Sequence
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import OpenerDirector, ProxyHandler, Request, build_opener

from api.cli.outcomes import Refused, ServiceAway
from application.settings import SettingsError

_SECONDS = 10
_READY_SECONDS = 2
_MAX_ANSWER = 1 << 20


def is_ready(issuer: str) -> bool:
    """Tell whether the service at `issuer` says that requests may be sent to it."""
    try:
        request = _request(f"{issuer}/readyz")
        with _opener(request).open(request, timeout=_READY_SECONDS) as response:
            return bool(response.status == 200)
    except (URLError, OSError, HTTPException):
        return False


def post_form(
    url: str, form: Sequence[tuple[str, str]], *, client_id: str, client_secret: str
) -> dict[str, Any]:
    """Return the JSON object that answers an OAuth request of a client.

    Raises Refused with the error of the service, ServiceAway where none answers, SettingsError for
    a URL that is not of HTTP.
    """
    # RFC 6749, Section 2.3.1: both are form-encoded before they go into the header.
    pair = f"{quote(client_id, safe='')}:{quote(client_secret, safe='')}".encode()
    request = _request(url, urlencode(form).encode())
    request.add_header("Authorization", f"Basic {base64.b64encode(pair).decode()}")
    try:
        with _opener(request).open(request, timeout=_SECONDS) as response:
            return _object(response.read(_MAX_ANSWER))
    except HTTPError as error:
        with error:
            refusal = _object(error.read(_MAX_ANSWER))
        line = f"{refusal.get('error', error.code)}: {refusal.get('error_description', '')}"
        raise (ServiceAway if error.code >= 500 else Refused)(line) from None
    except (URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise ServiceAway(f"no service answers on {url} ({reason}): `grantledger serve`") from None


def _request(url: str, body: bytes | None = None) -> Request:
    if not url.startswith(("http://", "https://")):
        raise SettingsError(f"{url}: must be an http or https URL")
    return Request(url, body)  # noqa: S310  # checked above


def _opener(request: Request) -> OpenerDirector:
    # A proxy of the environment does not lead to this machine.
    loopback = urlsplit(request.full_url).hostname in ("127.0.0.1", "localhost", "::1")
    return build_opener(ProxyHandler({})) if loopback else build_opener()


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Refused("what answers there is not a token service")
    return found
