"""URLs of other services: https, and plain enough that nothing reads them in two ways."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

# Neither user, query, fragment, white space nor anything that a log line could break on.
_PLAIN_URL = re.compile(r"[A-Za-z0-9:/._~%\[\]-]+")


def require_https_url(url: str, *, rule: str) -> None:
    """Raise ValueError, with `rule` or that it must be https, for a URL that is not a plain one.

    RFC 8414, Section 2: https, no query, no fragment; http only where nobody else listens.
    """
    try:
        parts = urlsplit(url)
        port_is_one = parts.port is None or parts.port > 0
    except ValueError:
        raise ValueError(rule) from None
    loopback = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if parts.scheme != "https" and not (parts.scheme == "http" and loopback):
        raise ValueError("must be an https URL (http only on the loopback interface)")
    if not _PLAIN_URL.fullmatch(url) or not parts.hostname or not port_is_one:
        raise ValueError(rule)


def _plain(url: str) -> str:
    require_https_url(url, rule="must have a host and neither user, query nor fragment")
    return url


HttpsUrl = Annotated[str, Field(max_length=500), AfterValidator(_plain)]
