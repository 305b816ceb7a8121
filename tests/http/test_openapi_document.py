"""What the contract tests found wrong once: a test each, named for the bug."""

from typing import Any

import pytest

from tests.http.live import Live


@pytest.fixture(scope="module")
def document(live: Live) -> dict[str, Any]:
    """The OpenAPI document."""
    found: dict[str, Any] = live.http.get("/schema/openapi.json").json()
    return found


def test_metrics_named_their_charset_twice(live: Live, document: dict[str, Any]) -> None:
    """The type is the one of Prometheus with one charset, and the described one."""
    answered = live.http.get("/metrics").headers["content-type"]
    described = document["paths"]["/metrics"]["get"]["responses"]["200"]["content"]

    assert answered == "text/plain; version=0.0.4; charset=utf-8"
    assert list(described) == ["text/plain; version=0.0.4"]


@pytest.mark.parametrize(
    ("schema", "member", "kind"),
    [
        ("Redirects", "redirect_uris", "string"),
        ("Redirects", "post_logout_redirect_uris", "string"),
        ("Authentication", "jwks", "object"),
    ],
)
def test_lists_with_a_length_limit_took_no_item(
    document: dict[str, Any], schema: str, member: str, kind: str
) -> None:
    """Items are of their one kind, and not "one of it and anything", which nothing is."""
    items = document["components"]["schemas"][schema]["properties"][member]["items"]

    assert items["type"] == kind
    assert "oneOf" not in items


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/oauth/userinfo", "get", "401"),
        ("/oauth/userinfo", "get", "403"),
        ("/oauth/userinfo", "post", "401"),
        ("/admin/issuers/remove", "post", "404"),
        ("/admin/issuers/test", "post", "404"),
    ],
)
def test_refusals_were_not_described(
    document: dict[str, Any], path: str, method: str, status: str
) -> None:
    """The refusal is in the document, with the headers that it always carries."""
    response = document["paths"][path][method]["responses"][status]

    assert "X-Request-Id" in response["headers"]
    assert ("WWW-Authenticate" in response["headers"]) is (status != "404")
