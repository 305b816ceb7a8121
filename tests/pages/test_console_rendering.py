"""How the console shows values: nothing hides, nothing acts, nothing is inline."""

import re
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from api.console.login import own_path
from api.console.rendering import (
    client_path,
    console_pages,
    number,
    raw_json,
    short,
    time_of,
)
from api.pages.rendering import harmless
from projections.alarms import Alarm
from projections.audit_trail import AuditEntry

TEMPLATES = Path(__file__).parents[2] / "api" / "pages" / "templates" / "console"
HOSTILE = "'\"><script>alert(1)</script><img src=x onerror=alert(1)>\x1b[2J\u202egnp.exe\x00"
WHEN = datetime(2026, 3, 2, 9, 30, 1, 250_000, tzinfo=UTC)


def an_entry(text: str) -> AuditEntry:
    """Return an entry with `text` wherever a text can stand."""
    return AuditEntry(
        position=7,
        occurred_at=WHEN,
        recorded_at=WHEN,
        topic="grant.denied",
        outcome="failure",
        client_id=text,
        subject=text,
        jti=UUID(int=1),
        session_id=text,
        grant_type=text,
        error=text,
        reason=text,
        actor=text,
        kid=text,
        address=text,
        request_id=text,
        traceparent=text,
        scope=[text],
        audience=[text],
        family_id=text,
        actors=[text],
        expires_at=WHEN,
        detail={text: text},
    )


def shape(text: str) -> list[tuple[str, frozenset[str]]]:
    """Return which elements a list of entries has with which attributes."""
    content = (
        console_pages()
        .render(
            "console/tail.html",
            entries=[an_entry(text)],
            sentence=lambda entry: f"It was {entry.subject}.",
            newest=7,
        )
        .content
    )
    return [
        (tag, frozenset(re.findall(r'\s([a-z-]+)="[^"]*"', attributes)))
        for tag, attributes in re.findall(r"<([a-z]+)([^>]*)>", content)
    ]


def test_hostile_text_adds_no_element() -> None:
    """Text from outside changes no element of a list of entries."""
    assert shape(HOSTILE) == shape("plain")


def test_control_characters_are_made_visible() -> None:
    """Escape sequences and characters that turn a line around show as what they are."""
    shown = harmless(HOSTILE)

    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "\x00" not in shown
    assert "\u241b[2J" in shown
    assert "U+202E" in shown
    assert harmless(None) == ""
    assert harmless("two\nlines") == "two\nlines"


def test_raw_json_hides_nothing() -> None:
    """Raw JSON is ASCII, with every fact in it and no empty ones."""
    text = raw_json(an_entry("caf\u00e9\u202e"))

    assert text.isascii()
    assert r"\u202e" in text
    assert '"position": 7' in text


def test_times_are_utc_for_people_and_machines() -> None:
    """A moment is a <time> with milliseconds for machines and seconds for people."""
    assert str(time_of(WHEN)) == (
        '<time datetime="2026-03-02T09:30:01.250Z" title="2026-03-02T09:30:01.250Z">'
        "2026-03-02 09:30:01</time>"
    )
    assert str(time_of(None)) == ""


def test_small_values() -> None:
    """Long ids end with what tells them apart; thousands are apart; URLs are encoded twice."""
    assert short("01a20aae-14fe-773e-b63e-fbc71898ab14") == "\u2026fbc71898ab14"
    assert short("demo") == "demo"
    assert number(1234567) == "1\u202f234\u202f567"
    assert client_path("a b?") == "/console/clients/a%20b%3F"
    assert client_path("https://a.example") == "/console/clients/https%253A%252F%252Fa.example"


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.html")), ids=lambda path: path.name)
def test_nothing_inline(path: Path) -> None:
    """No template has inline script or style, a handler, or an address of another host."""
    text = path.read_text()

    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|hx-on", text)
    assert all('src="/static/' in tag for tag in re.findall(r"<script[^>]*>", text))
    assert not re.search(r'(src|href|action)="(https?:)?//', text)
    assert "| safe" not in text


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "/console//evil.example",
        "/console/../account",
        "/console\r\nX: y",
        "/consoles",
        "/console/login?next=/console",
        "",
        None,
    ],
)
def test_a_login_ends_in_the_console(wanted: str | None) -> None:
    """Where a login leads is a page of the console, whatever the link says."""
    assert own_path(wanted) == "/console"


@pytest.mark.parametrize(
    "wanted", ["/console", "/console/search?subject=a%20b&topic=x.y", "/console/tokens/1-2"]
)
def test_a_login_returns_to_its_page(wanted: str) -> None:
    """A page of the console is where the login ends."""
    assert own_path(wanted) == wanted


def test_alarms_stand_above_everything_else() -> None:
    """The overview names each alarm with what to do, escaped; without any there is no section."""
    alarm = Alarm("toy", HOSTILE, "put it back", WHEN)
    shown, quiet = _overview([alarm]), _overview([])

    assert shown.index("put it back") < shown.index("Tokens issued")
    assert "<script>alert" not in shown
    assert 'class="alarms"' not in quiet


def _overview(alarms: list[Alarm]) -> str:
    return str(
        console_pages()
        .render(
            "console/overview.html",
            auditor={"login": "eve"},
            csrf="token",
            columns={"times": []},
            totals=dict.fromkeys(("issued", "denied", "revoked", "reused"), 0),
            entries=[],
            newest=0,
            lag=0,
            now=WHEN,
            sentence=str,
            alarms=alarms,
        )
        .content
    )
