"""What each page is given, with one text in the place of everything that comes from outside."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from application.authorization_details import ShownDetail

_WHEN = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def _scopes(text: str) -> list[dict[str, str]]:
    return [{"name": text, "description": text}, {"name": "openid", "description": "Know you"}]


def _asking(text: str) -> dict[str, Any]:
    return {
        "client_name": text,
        "client_id": text,
        "login": text,
        "scopes": _scopes(text),
        "resources": [text, text],
        "details": [ShownDetail(text, ((text, text),))],
    }


def _account(text: str) -> dict[str, Any]:
    return {
        "login": text,
        "notice": text,
        "sessions": [
            {"session_id": text, "started": _WHEN, "methods": [text, "pwd"], "current": current}
            for current in (True, False)
        ],
        "older": f"/account?before={text}",
        "consents": [
            {
                "client_id": text,
                "client_name": text,
                "self_registered": True,
                "scopes": _scopes(text),
                "resources": [text],
                "given": _WHEN,
            }
        ],
        "passkeys": [{"credential": text, "label": text, "added": _WHEN}],
        "has_password": True,
        "login_anew": f"/login?request={text}",
    }


_CONTEXTS: dict[str, Callable[[str], dict[str, Any]]] = {
    "account.html": _account,
    "consent.html": lambda text: {
        **_asking(text),
        "redirect_host": text,
        "already": [text],
        "published_at": text,
        "self_registered": True,
    },
    "device.html": lambda text: {"user_code": text, "error": text},
    "device_confirm.html": lambda text: {
        **_asking(text),
        "user_code": text,
        "published_at": "",
        "self_registered": True,
    },
    "device_done.html": lambda text: {"allowed": True, "client_name": text},
    "form_post.html": lambda text: {"action": text, "fields": [(text, text), ("state", text)]},
    "logged_out.html": lambda _: {},
    "login.html": lambda text: {
        "client_name": text,
        "self_registered": True,
        "error": text,
        "login": text,
        "upstream_name": text,
    },
    "logout.html": lambda text: {"client_name": text},
    "message.html": lambda text: {"title": text, "text": text, "request_id": text},
}

NAMES = tuple(_CONTEXTS)


def context_of(name: str, text: str, **changes: Any) -> dict[str, Any]:
    """Return everything that the page `name` needs, `text` wherever a text can stand."""
    return {"csrf": text, "request": text, **_CONTEXTS[name](text), **changes}
