"""The pages that people see: escaping, headers, labels, and nothing inline."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from jinja2 import UndefinedError

from api.pages.rendering import Pages
from tests.pages.sample_contexts import NAMES, context_of

HOSTILE = "'\"><script>alert(1)</script>\r\n<img src=x onerror=alert(1)>"
TEMPLATES = Path(__file__).parents[2] / "api" / "pages" / "templates"
# Parts of pages and not pages themselves.
_PARTS = {"details.html", "page.html", "scopes.html", "unchecked.html"}
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "form-action 'self'{targets}; base-uri 'none'; frame-ancestors 'none'"
)


class Page(HTMLParser):
    """The elements of a page with their attributes, and the text outside of them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data

    def of(self, *tags: str) -> list[dict[str, str | None]]:
        """Return the attributes of each element of these kinds."""
        return [attributes for tag, attributes in self.elements if tag in tags]


def rendered(name: str, text: str = "text", **changes: Any) -> Page:
    """Return the page `name` with `text` wherever a text can stand."""
    return Page(Pages().render(name, **context_of(name, text, **changes)).content)


def shape(page: Page) -> list[tuple[str, frozenset[str]]]:
    """Return which elements a page has with which attributes, whatever their values."""
    return [(tag, frozenset(attributes)) for tag, attributes in page.elements]


def test_every_template_is_tested() -> None:
    """A template without a sample context would escape every test below."""
    found = {path.name for path in TEMPLATES.glob("*.html")}

    assert found - _PARTS == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_hostile_text_adds_no_element(name: str) -> None:
    """Text from outside changes neither an element nor an attribute of any page."""
    assert shape(rendered(name, HOSTILE)) == shape(rendered(name))


@pytest.mark.parametrize("name", NAMES)
def test_hostile_text_arrives_unchanged(name: str) -> None:
    """Hidden fields carry exactly what was put in, so that forms send it back unaltered."""
    fields = {
        field["name"]: field["value"]
        for field in rendered(name, HOSTILE).of("input")
        if field.get("type") == "hidden" and field["name"] in ("csrf", "request")
    }

    assert set(fields.values()) <= {HOSTILE}


def test_form_post_carries_the_parameters() -> None:
    """The form of response_mode=form_post goes to the client with its parameters and no more."""
    given = [("code", "a b&c"), ("state", HOSTILE), ("submit", "1")]
    page = rendered("form_post.html", action="https://client.example/cb?x=1&y=2", fields=given)
    forms, fields = page.of("form"), page.of("input")

    assert [form["action"] for form in forms] == ["https://client.example/cb?x=1&y=2"]
    assert [(field["name"], field["value"]) for field in fields] == given


@pytest.mark.parametrize("name", NAMES)
def test_nothing_inline(name: str) -> None:
    """No page has inline script or style, which its policy would block."""
    page = rendered(name)
    attributes = {attribute for _, given in page.elements for attribute in given}

    assert not page.of("style")
    assert "style" not in attributes
    assert not [attribute for attribute in attributes if attribute.startswith("on")]
    assert all((script["src"] or "").startswith("/static/") for script in page.of("script"))


@pytest.mark.parametrize("name", NAMES)
def test_visible_fields_have_labels(name: str) -> None:
    """Each field that a person sees has a label of its own; ids are unique."""
    page = rendered(name)
    labelled = [label["for"] for label in page.of("label")]
    seen = [
        field["id"]
        for field in page.of("input", "select", "textarea")
        if field.get("type") != "hidden" and "hidden" not in field
    ]
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]

    assert sorted(map(str, labelled)) == sorted(map(str, seen))
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", NAMES)
def test_page_has_landmarks(name: str) -> None:
    """Each page names its language and title, and has one main part with one first heading."""
    page = rendered(name)

    assert page.of("html") == [{"lang": "en"}]
    assert [len(page.of(tag)) for tag in ("title", "main", "h1")] == [1, 1, 1]


@pytest.mark.parametrize("name", sorted({*NAMES} - {"form_post.html"}))
def test_own_forms_carry_csrf(name: str) -> None:
    """Each form that posts to the service carries the value which proves that it is ours."""
    page = rendered(name, csrf="proof")
    carried = [field["value"] for field in page.of("input") if field.get("name") == "csrf"]

    assert all(form["method"] == "post" for form in page.of("form"))
    assert all((form["action"] or "").startswith("/") for form in page.of("form"))
    assert carried == ["proof"] * len(page.of("form"))


@pytest.mark.parametrize("name", ["login.html", "device.html"])
def test_errors_are_announced(name: str) -> None:
    """An error is an alert that the fields point to; without one no field points anywhere."""
    wrong, fine = rendered(name, error="No."), rendered(name, error=None)
    described = [field.get("aria-describedby") for field in wrong.of("input")]

    assert [each["id"] for each in wrong.of("p") if each.get("role") == "alert"] == ["problem"]
    assert "problem" in described
    assert not [field for field in fine.of("input") if "aria-describedby" in field]
    assert not [
        each for each in fine.of("p") if each.get("role") == "alert" and "hidden" not in each
    ]


def test_missing_value_is_an_error() -> None:
    """A page with a forgotten value fails loudly, and does not render a gap."""
    with pytest.raises(UndefinedError):
        Pages().render("message.html", title="Title", text="Text")


def test_optional_parts_are_left_out() -> None:
    """An account without consents, passkeys and password, and a login without provider, work."""
    account = rendered(
        "account.html", consents=[], passkeys=[], sessions=[], has_password=False, notice=None
    )
    login = rendered("login.html", client_name=None, upstream_name=None, error=None)

    assert "current" not in [field.get("name") for field in account.of("input")]
    assert [form["action"] for form in login.of("form")] == ["/login", "/login/passkey"]


def test_methods_are_told_in_words() -> None:
    """Sessions say by what in words of people, not by the codes of RFC 8176."""
    given = context_of("account.html", "text")["sessions"][0]
    sessions = [{**given, "methods": ["hwk", "user"]}, {**given, "methods": []}]
    words = rendered("account.html", sessions=sessions).words

    assert "UTC, by passkey\n" in words
    assert "UTC\n" in words
    assert "hwk" not in words


def test_headers_are_exact() -> None:
    """A page is in no frame, in no cache, tells no other site where it came from."""
    response = Pages().render("logged_out.html", status=403)

    assert response.status_code == 403
    assert response.media_type == "text/html"
    assert dict(response.headers) == {
        "Content-Security-Policy": _POLICY.format(targets=""),
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": (
            "publickey-credentials-get=(self), publickey-credentials-create=(self)"
        ),
    }


def test_form_action_lists_sources_once() -> None:
    """Foreign sources stand behind 'self' in their order, each once."""
    sources = ("https://a.example", "com.example.app:", "https://a.example")
    response = Pages().render("logged_out.html", form_action=sources)

    assert response.headers["Content-Security-Policy"] == _POLICY.format(
        targets=" https://a.example com.example.app:"
    )
