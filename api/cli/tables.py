"""What commands print: JSON as the HTTP API has it, or tables for people.

Text from the record is shown without the characters that nobody sees (domain.visible_text), those
of C1 among them: a name must not drive the terminal of whoever lists it. In JSON they are escaped.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import rich_click as click
from pydantic_core import to_json
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.tree import Tree

from domain.recorded import moment
from domain.visible_text import escaped_json, is_hidden, isolated

T = TypeVar("T")
Columns = Mapping[str, Callable[[T], object]]

_WIDE = 250
_NOTHING = "-"


def print_json(value: Any) -> None:
    """Print `value` (models, dataclasses, mappings, lists of them) as JSON."""
    click.echo(escaped_json(to_json(value, indent=2).decode()))


def print_json_line(value: Any) -> None:
    """Print `value` as JSON on one line, for readers that go line by line."""
    click.echo(escaped_json(to_json(value).decode()))


def at_terminal(content: bytes) -> str:
    """Return what a program would be given as it may be shown at a terminal: JSON stays JSON."""
    return escaped_json(content.decode(errors="replace")).rstrip("\n")


def print_rows(
    rows: Sequence[T], columns: Columns[T], *, as_json: bool, empty: str = "nothing yet"
) -> None:
    """Print one row an object, or all of them as a JSON array."""
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo(empty, err=True)
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(shown(value(row)) for value in columns.values()))
    _console().print(table)


def print_fields(fields: Mapping[str, object]) -> None:
    """Print one object as names and values; a sequence of mappings takes a line each."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in fields.items():
        table.add_row(name, shown(value))
    _console().print(table)


def print_tree(tree: Tree) -> None:
    """Print a tree, a node a line."""
    _console().print(tree, soft_wrap=True)


def shown(value: object) -> str:
    """Return `value` as people read it; "-" where there is none."""
    match value:
        case None | "" | () | []:
            return _NOTHING
        case bool():
            return "yes" if value else "no"
        case datetime():
            return moment(value)
        case Mapping():
            return " ".join(f"{name}={shown(part)}" for name, part in value.items()) or _NOTHING
        case list() | tuple():
            lines = any(isinstance(part, Mapping) for part in value)
            return ("\n" if lines else " ").join(shown(part) for part in value)
        case _:
            return isolated("".join(map(_seen, str(value))))


def _seen(one: str) -> str:
    return "?" if is_hidden(one) or (one.isspace() and one != " ") else one


def _console() -> Console:
    console = Console(markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = _WIDE  # a pipe has no edge to break lines at
    return console
