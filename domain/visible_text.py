"""Text that people read and others wrote: names that hide nothing, and old ones made to show it.

A name is shown where somebody decides: on the consent page, in a list of clients, at a terminal. A
control character drives the terminal, a bidirectional override turns round what stands beside it
(Unicode Standard Annex #9), and an invisible character makes two names of one look.

1. New names (`DisplayName`) have none of these. They are text in one line: no control, no format
   character, no white space but single spaces within, nothing that is ignored by default (Unicode
   Standard, Section 5.21), private or unassigned.
2. What was recorded before the rule is shown with each such character named (`visible`).

Joiners, which some scripts and emoji use, are format characters too: two names that differ by one
look alike to most people.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator

_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Letters, marks and symbols that have no ink: Default_Ignorable_Code_Point where it is not Cf, and
# the blank pattern of Braille.
_WITHOUT_INK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U0001d159\U000e0000-\U000e0fff]"
)


@lru_cache(maxsize=4096)
def is_hidden(character: str) -> bool:
    """Tell whether people do not see a character, or only what it does to others."""
    hidden = unicodedata.category(character) in _HIDDEN_CATEGORIES
    return hidden or _WITHOUT_INK.match(character) is not None


def problem_with_name(text: str) -> str | None:
    """Return why `text` cannot be a name that people are shown, None where it can."""
    if text.isascii() and text.isprintable() and text == text.strip():
        return None
    if any(map(is_hidden, text)):
        return "must not hold control, bidirectional, invisible or unassigned characters"
    if text != text.strip() or any(one.isspace() and one != " " for one in text):
        return "must hold no white space but spaces between other characters"
    return None


def visible(text: str, *, keep: str = "") -> str:
    """Return `text` with each character that people would not see named, as <U+202E>, and white
    space as spaces; characters of `keep` stay as they are.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(one if one in keep else _visible(one) for one in text)


def _visible(one: str) -> str:
    if one.isspace():
        return " "
    return f"<U+{ord(one):04X}>" if is_hidden(one) else one


def escaped_json(text: str) -> str:
    """Return a JSON text with every such character of its strings escaped (RFC 8259, Section 7).

    The same to a program; at a terminal it drives and hides nothing. Line ends between values stay.
    """
    if text.isascii() and "\x7f" not in text:
        return text  # what is below U+0020 is escaped in any JSON
    return "".join(_escaped(one) if one != "\n" and is_hidden(one) else one for one in text)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[n]:02x}{units[n + 1]:02x}" for n in range(0, len(units), 2))


def isolated(text: str) -> str:
    """Return `text` so that its direction does not reach what stands beside it, for places that
    know no markup (Unicode Standard Annex #9, Section 2.4).
    """
    if text.isascii() or not any(
        unicodedata.bidirectional(one) in ("R", "AL", "AN") for one in text
    ):
        return text
    return f"\u2068{text}\u2069"


def _named(text: str) -> str:
    problem = problem_with_name(text)
    if problem is not None:
        raise ValueError(problem)
    return text


DisplayName = Annotated[str, AfterValidator(_named)]
