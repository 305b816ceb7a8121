"""Names of others on pages: shown in full, isolated, and with the word that nobody checked them."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from api.console.rendering import console_pages, sentence
from api.pages.rendering import Pages
from api.visit import origin_of_name
from domain.client_configuration import ClientType, Registration
from domain.visible_text import is_hidden
from projections.audit_trail import AuditEntry
from tests.builders import a_client
from tests.domain.test_visible_text import HIDDEN
from tests.pages.sample_contexts import NAMES, context_of

HEBREW = "\u05d0\u05d1\u05d2"
ISOLATES = "\u2068\u2069"
WITH_NAMES = (
    "consent.html",
    "device_confirm.html",
    "device_done.html",
    "login.html",
    "logout.html",
)
UNCHECKED = "nobody here has checked it"


@pytest.mark.parametrize("name", NAMES)
def test_no_page_carries_what_nobody_sees(name: str) -> None:
    """Of names that were recorded before the rule; what a form sends back is left as it was."""
    text = "".join(one for one in HIDDEN.values() if one not in "\n\t\x00")
    content = Pages().render(name, **context_of(name, f"Good{text}Shop")).content
    seen = re.sub(r'(value|action)="[^"]*"', "", content)

    assert not [f"U+{ord(one):04X}" for one in seen if is_hidden(one) and one not in "\n\t"]


@pytest.mark.parametrize("name", WITH_NAMES)
def test_a_name_is_isolated(name: str) -> None:
    """A name that runs from right to left turns round nothing beside it."""
    content = Pages().render(name, **{**context_of(name, "text"), "client_name": HEBREW}).content

    assert HEBREW in content
    assert HEBREW not in re.sub(rf"<bdi>{HEBREW}</bdi>|\u2068{HEBREW}\u2069", "", content)


@pytest.mark.parametrize("name", ["consent.html", "device_confirm.html", "login.html"])
def test_pages_say_that_nobody_checked_a_name(name: str) -> None:
    """Where a person decides, and before it types a password; not of a client of ours."""
    stranger = {**context_of(name, "text"), "published_at": "", "self_registered": True}
    ours = {**stranger, "self_registered": False}

    assert UNCHECKED in Pages().render(name, **stranger).content
    assert UNCHECKED not in Pages().render(name, **ours).content


@pytest.mark.parametrize(
    ("source", "client_id", "told"),
    [
        ("administrator", "shop", ("", False)),
        ("dynamic", "dyn-1", ("", True)),
        ("metadata_document", "https://app.example/x.json", ("app.example", False)),
    ],
)
def test_where_a_name_comes_from(source: str, client_id: str, told: tuple[str, bool]) -> None:
    """Consent page and device page say the same of a client."""
    registration = Registration.model_validate({"source": source})
    client = a_client(
        client_id=client_id,
        client_type=ClientType.PUBLIC,
        grant_types=(),
        registration=registration,
    )

    assert origin_of_name(client) == {"published_at": told[0], "self_registered": told[1]}


def an_entry(name: str) -> AuditEntry:
    """Return the entry of a client that was registered with a name."""
    facts: dict[str, Any] = dict.fromkeys(AuditEntry.__dataclass_fields__)
    when = datetime(2026, 3, 2, tzinfo=UTC)
    told = {"topic": "client.renamed", "outcome": "success", "client_id": "shop"}
    moments = {"occurred_at": when, "recorded_at": when}
    return AuditEntry(**{**facts, **told, **moments, "position": 1, "detail": {"name": name}})


def test_the_console_isolates_names_in_sentences() -> None:
    """And shows no character that nobody sees, though a sentence holds isolates of its own."""
    shown = sentence(an_entry(f"{HEBREW}<b>"))
    page = (
        console_pages()
        .render(
            "console/tail.html", entries=[an_entry(HEBREW + "\u202e")], sentence=sentence, newest=1
        )
        .content
    )

    assert f"<bdi>{HEBREW}&lt;b&gt;</bdi>" in shown
    assert f"<bdi>{HEBREW}?</bdi>" in page
    assert not set(ISOLATES + "\u202e") & set(page)
