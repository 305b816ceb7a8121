"""What commands print of names that strangers chose: nothing drives or deceives the terminal."""

import json

import pytest

from api.cli.tables import at_terminal, print_fields, print_json, print_json_line, shown
from domain.visible_text import is_hidden
from tests.domain.test_visible_text import HIDDEN

HOSTILE = "".join(HIDDEN.values())
C1 = "".join(map(chr, range(0x80, 0xA0)))


@pytest.mark.parametrize("text", [HOSTILE, C1], ids=["hidden", "C1"])
def test_json_escapes_what_drives_a_terminal(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """U+009B begins an escape sequence as ESC [ does; a program reads the same text."""
    print_json({"name": text})
    print_json_line({"name": text})
    out = capsys.readouterr().out
    *pretty, line = out.splitlines()

    assert json.loads("".join(pretty)) == json.loads(line) == {"name": text}
    assert not any(is_hidden(one) for one in out if one != "\n")


@pytest.mark.parametrize("text", [HOSTILE, C1], ids=["hidden", "C1"])
def test_tables_hide_nothing(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each character that nobody sees is a question mark, of lists and objects too."""
    print_fields({"name": text, "several": [text], "object": {"a": text}})
    out = capsys.readouterr().out

    assert not any(is_hidden(one) for one in out if one != "\n")
    assert shown(text) == "?" * len(text)


def test_names_are_isolated() -> None:
    """A name that runs from right to left does not turn round the columns beside it."""
    assert shown("\u05d0\u05d1") == "\u2068\u05d0\u05d1\u2069"
    assert shown(["\u05d0", "a"]) == "\u2068\u05d0\u2069 a"


def test_what_a_program_would_get_at_a_terminal() -> None:
    """The bytes of a replay go to a pipe as they are, and escaped to a terminal."""
    block = f'{{"name": "{C1}"}}\n'.encode()

    assert json.loads(at_terminal(block)) == {"name": C1}
    assert not any(map(is_hidden, at_terminal(block)))
