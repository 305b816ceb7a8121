"""Names that people are shown: what a new one cannot hold, and how an old one is shown."""

import json
import sys
import unicodedata

import pytest
from pydantic import ValidationError

from domain.client_configuration import ClientConfiguration, Registration
from domain.visible_text import (
    escaped_json,
    is_hidden,
    isolated,
    problem_with_name,
    visible,
)

HIDDEN = {
    "U+0000": "\x00",
    "escape": "\x1b",
    "line end": "\n",
    "tab": "\t",
    "delete": "\x7f",
    "next line (C1)": "\x85",
    "CSI (C1)": "\x9b",
    "soft hyphen": "\xad",
    "combining grapheme joiner": "\u034f",
    "arabic letter mark": "\u061c",
    "hangul filler": "\u115f",
    "khmer inherent vowel": "\u17b4",
    "mongolian vowel separator": "\u180e",
    "zero width space": "\u200b",
    "zero width joiner": "\u200d",
    "right-to-left mark": "\u200f",
    "line separator": "\u2028",
    "paragraph separator": "\u2029",
    "left-to-right embedding": "\u202a",
    "right-to-left override": "\u202e",
    "word joiner": "\u2060",
    "invisible times": "\u2062",
    "first strong isolate": "\u2068",
    "pop directional isolate": "\u2069",
    "braille blank": "\u2800",
    "another hangul filler": "\u3164",
    "variation selector": "\ufe0f",
    "byte order mark": "\ufeff",
    "halfwidth hangul filler": "\uffa0",
    "interlinear annotation": "\ufff9",
    "private use": "\ue000",
    "noncharacter": "\ufdd0",
    "musical null notehead": "\U0001d159",
    "language tag": "\U000e0001",
    "tag letter": "\U000e0041",
    "further variation selector": "\U000e0100",
}
GOOD = (
    "Billing agent",
    "Shop & Co <beta>",
    "Caf\u00e9 \u2013 \u4e2d\u6587\u540d",
    "\u062a\u0637\u0628\u064a\u0642",
    "\u05d0\u05e4\u05dc\u05d9\u05e7\u05e6\u05d9\u05d4",
    "\u0939\u093f\u0928\u094d\u0926\u0940",
    "\U0001f680 Rocket",
    "",
)


@pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN)
def test_a_name_hides_nothing(hidden: str) -> None:
    """Neither the client's nor its software's, wherever in it the character stands."""
    for name in (hidden, f"Good{hidden}Shop", f"Good Shop{hidden}"):
        assert problem_with_name(name) is not None
        with pytest.raises(ValidationError):
            ClientConfiguration(client_id="shop", name=name)
    for member in ("software_id", "software_version"):
        with pytest.raises(ValidationError):
            ClientConfiguration.model_validate(
                {"client_id": "shop", "registration": {member: f"a{hidden}b"}}
            )


@pytest.mark.parametrize(
    "name", [" Shop", "Shop ", "Good\u00a0Shop", "Good\u2003Shop", "Good\u3000Shop", " "]
)
def test_a_name_has_no_odd_white_space(name: str) -> None:
    """Two names that differ by it look alike."""
    assert problem_with_name(name) is not None


@pytest.mark.parametrize("name", GOOD)
def test_names_of_all_scripts_are_taken(name: str) -> None:
    """What people write, in whatever direction, is a name, and is shown as it is."""
    assert problem_with_name(name) is None
    assert visible(name) == name
    assert ClientConfiguration(client_id="shop", name=name).name == name


def test_what_was_recorded_before_the_rule_is_read() -> None:
    """The log holds names of before: a rule about new ones must not make it unreadable."""
    assert Registration.model_validate({"software_id": "a\u202eb"}).software_id == "a\u202eb"


def test_whatever_is_not_seen_is_hidden() -> None:
    """Of all characters what Python does not print is, and nothing of ASCII that it prints."""
    for code in range(sys.maxunicode + 1):
        one = chr(code)
        if unicodedata.category(one) != "Zs":
            assert is_hidden(one) or one.isprintable(), f"U+{code:04X}"
    assert not any(is_hidden(chr(code)) for code in range(0x20, 0x7F))


@pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN)
def test_old_names_are_shown_with_what_they_hide(hidden: str) -> None:
    """No such character is left in what is shown."""
    shown = visible(f"Good{hidden}Shop")

    assert not any(map(is_hidden, shown))
    assert hidden not in shown


@pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN)
def test_json_says_the_same_and_drives_no_terminal(hidden: str) -> None:
    """Characters that nobody sees are escaped; a program reads the same text."""
    value = {"name": f"Good{hidden}Shop", "caf\u00e9": ["\U0001f680"]}
    text = escaped_json(json.dumps(value, ensure_ascii=False, indent=2))

    assert json.loads(text) == value
    assert not any(is_hidden(one) for one in text if one != "\n")
    assert "caf\u00e9" in text


def test_what_runs_from_right_to_left_is_isolated() -> None:
    """So that it does not take along what stands beside it; other text stays as it is."""
    assert isolated("Shop") == "Shop"
    assert isolated("\u05d0\u05d1") == "\u2068\u05d0\u05d1\u2069"
    assert isolated("\u0661") == "\u2068\u0661\u2069"
