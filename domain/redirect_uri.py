"""Where a browser may be sent with a code: what can be registered, and what matches.

A code that goes to an address which merely looks registered is stolen, so that nothing is parsed
where strings can be compared.
"""

import re
from collections.abc import Collection
from urllib.parse import urlsplit

MAX_CHARACTERS = 1024
# RFC 3986, Section 2, without "<>" and the like: nothing that a header or a page could break on.
_PLAIN = re.compile(r"[A-Za-z0-9:/?\[\]@!$&'()*+,;=._~%-]+")
# RFC 8252, Section 7.1: a private-use scheme is a domain name in reverse, so it has a dot.
_PRIVATE_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+")
_LOOPBACK_PORT = re.compile(r"http://(127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?(?=/|\?|$)")
_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def problem_with(uri: str) -> str | None:
    """Return why `uri` cannot be registered, None where it can."""
    if len(uri) > MAX_CHARACTERS or not _PLAIN.fullmatch(uri):
        # RFC 6749, Section 3.1.2: "The endpoint URI MUST NOT include a fragment component."
        return "must be an absolute URI of at most 1024 characters, without a fragment"
    try:
        parts = urlsplit(uri)
        port_is_one = parts.port is None or parts.port > 0
    except ValueError:
        return "must be a URI"
    if parts.username is not None or parts.password is not None or not port_is_one:
        return "must have neither a user nor a port that is none"
    web = parts.scheme == "https" and _HOST.fullmatch(parts.hostname or "")
    loopback = parts.scheme == "http" and parts.hostname in _LOOPBACK  # RFC 8252, Section 7.3
    private = _PRIVATE_SCHEME.fullmatch(parts.scheme) and not parts.netloc
    if web or loopback or private:
        return None
    return "must be https, http on the loopback interface, or a scheme like com.example.app:/"


def match(presented: str, registered: Collection[str]) -> bool:
    """Tell whether `presented` is one of the registered URIs, character by character.

    RFC 8252, Section 7.3: "The authorization server MUST allow any port to be specified at the
    time of the request for loopback IP redirect URIs". For names, localhost too, the port counts.
    """
    if presented in registered:
        return True
    # Nothing checked what only resembles a registered URI: port 99999 is none to go to.
    if problem_with(presented) is not None:
        return False
    without_port = _without_loopback_port(presented)
    return without_port is not None and without_port in map(_without_loopback_port, registered)


def target_of(redirect_uri: str) -> str:
    """Return where a redirect URI leads, the same for each port of a loopback address."""
    return _without_loopback_port(redirect_uri) or redirect_uri


def _without_loopback_port(uri: str) -> str | None:
    found = _LOOPBACK_PORT.match(uri)
    if found is None or not _PLAIN.fullmatch(uri):
        return None
    return f"http://{found[1]}{uri[found.end() :]}"
