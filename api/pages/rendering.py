"""How a page is rendered and what a browser may do with it.

No inline script or style, nothing from elsewhere, never in a frame, kept nowhere. Templates escape
whatever they are given, and name the characters in it that people would not see, or see only by
what they do to the text beside it (domain.visible_text). Names that others chose stand in <bdi>, or
where there is no markup between isolates (the filter `isolated`).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import MediaType, Request, Response, get
from litestar.handlers import HTTPRouteHandler
from markupsafe import Markup, escape

from domain.visible_text import is_hidden, isolated

_HERE = Path(__file__).parent
_TYPES = {
    "style.css": "text/css",
    "passkey.js": "text/javascript",
    "submit.js": "text/javascript",
    "mark.svg": "image/svg+xml",
    "colours.css": "text/css",
    "console.css": "text/css",
    "console.js": "text/javascript",
    "charts.js": "text/javascript",
    "vendor/htmx.min.js": "text/javascript",
    "vendor/uplot.min.js": "text/javascript",
    "vendor/uplot.min.css": "text/css",
}
_KEPT = "\t\n"
_PRINTABLE = re.compile(r"[!#-~]+")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
# CSP3, Section 2.3.1, host-part: it can write neither an IPv6 address nor an underscore.
_HOST_PART = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*")
_OTHER_HOST = re.compile(r"[0-9a-f:.]+|[a-z0-9._-]+")
_HEADERS = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "publickey-credentials-get=(self), publickey-credentials-create=(self)",
}


def source_of(uri: str) -> str:
    """Return the CSP source of a URI: origin, or scheme of a private one (CSP3, Section 2.3.1).

    Raises ValueError for what does not belong into a header.
    """
    parts = urlsplit(uri)
    if not _PRINTABLE.fullmatch(uri) or not _SCHEME.fullmatch(parts.scheme) or "@" in parts.netloc:
        raise ValueError("not a source")
    if parts.scheme not in ("http", "https"):
        return f"{parts.scheme}:"
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.scheme}://{_written_host(parts.hostname or '')}{port}"


def _written_host(host: str) -> str:
    if _HOST_PART.fullmatch(host):
        return host
    if _OTHER_HOST.fullmatch(host):
        # A browser ignores a source it cannot read, and would then hold back the very redirect
        # to http://[::1] that RFC 8252, Section 7.3 asks for. Scheme and port still bind.
        return "*"
    raise ValueError("not a source")


def harmless(value: Any) -> Any:
    """Return a value with what nobody would see made visible; markup of our own as it is."""
    if value is None or isinstance(value, Markup):
        return "" if value is None else value
    text = str(value)
    if text.isascii() and text.isprintable():
        return text
    return "".join(one if one in _KEPT or not is_hidden(one) else _shown(one) for one in text)


def _shown(hidden: str) -> str:
    code = ord(hidden)
    return chr(0x2400 + code) if code < 0x20 else f"\N{LEFT CEILING}U+{code:04X}\N{RIGHT FLOOR}"


def _isolated(value: Any) -> Markup:
    """Return a value for a title or an attribute, between isolates where it has a direction."""
    return escape(isolated(harmless(value)))


class Pages:
    """The templates of one process. Every value is made harmless before it is escaped."""

    def __init__(self, *, filters: Mapping[str, Callable[..., Any]] | None = None) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=harmless,
        )
        self._templates.filters.update({"isolated": _isolated, **(filters or {})})

    def render(
        self,
        name: str,
        *,
        status: int = 200,
        form_action: Sequence[str] = (),
        **context: Any,
    ) -> Response[str]:
        """Return a page. `form_action` names where its forms may lead besides here (`source_of`):
        browsers hold the redirects after a form post against it as well.
        """
        return Response(
            self._templates.get_template(name).render(context),
            status_code=status,
            media_type=MediaType.HTML,
            headers={**_HEADERS, "Content-Security-Policy": _policy(form_action)},
        )


def _policy(form_action: Sequence[str]) -> str:
    targets = " ".join(("'self'", *dict.fromkeys(form_action)))
    return (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        f"img-src 'self'; form-action {targets}; base-uri 'none'; frame-ancestors 'none'"
    )


def static_routes() -> list[HTTPRouteHandler]:
    """Return a route for each static file; no other path can be read."""
    return [_static(name, media_type) for name, media_type in _TYPES.items()]


def _static(name: str, media_type: str) -> HTTPRouteHandler:
    content = (_HERE / "static" / name).read_bytes()
    etag = f'"{sha256(content).hexdigest()[:32]}"'
    headers = {
        "ETag": etag,
        "Cache-Control": "public, max-age=3600",
        "X-Content-Type-Options": "nosniff",
    }

    @get(f"/static/{name}", include_in_schema=False, media_type=media_type)
    async def file(request: Request[Any, Any, Any]) -> Response[bytes]:
        if request.headers.get("if-none-match") == etag:
            return Response(b"", status_code=304, media_type=media_type, headers=headers)
        return Response(content, media_type=media_type, headers=headers)

    return file
