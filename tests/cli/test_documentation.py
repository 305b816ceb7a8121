"""The documentation says what the code does: each table is compared with what it describes."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from api.cli import outcomes
from api.cli.program import program
from application.certificate_settings import CertificateSettings
from application.errors import OAuthError
from application.ledger.topics import AGGREGATES
from application.rate_limit_settings import RateLimitSettings
from application.settings import Settings
from domain.permissions import Catalogue
from domain.recorded import Administered, Recorded
from projections.reports.registry import REPORTS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def _table(page: str, *, begins: str) -> list[str]:
    """Return the rows of all tables of a page whose first column begins with `begins`."""
    lines = (DOCS / page).read_text().splitlines()
    return [line for line in lines if line.startswith(f"| `{begins}")]


def _shown_default(name: str, field: FieldInfo) -> str:
    if name == "data_dir":
        return "the user's data directory"
    value = field.default
    if value is None or value in ("", ()):
        return "-"
    if isinstance(value, tuple):
        value = ",".join(value)
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def test_configuration_lists_every_setting() -> None:
    """Every setting is documented with its default and meaning, and nothing else is."""
    # Inherited fields come first in the class; on the page they have tables of their own.
    others = [*CertificateSettings.model_fields, *RateLimitSettings.model_fields]
    fields = sorted(
        Settings.model_fields.items(),
        key=lambda item: others.index(item[0]) if item[0] in others else -1,
    )
    rows = [
        f"| `GRANTLEDGER_{name.upper()}` | {_shown_default(name, field)} | {field.description} |"
        for name, field in fields
    ]

    assert _table("configuration.md", begins="GRANTLEDGER_") == rows


def test_no_default_is_a_secret() -> None:
    """No default that the table shows is of a secret setting."""
    assert not [f for f in Settings.model_fields.values() if isinstance(f.default, SecretStr)]


def test_documented_catalogue_is_valid() -> None:
    """The example of a scope catalogue is one that the settings take."""
    text = (DOCS / "configuration.md").read_text()
    (example,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)

    assert "clients:manage" in Catalogue.model_validate_json(example).by_name


def _fields(event: type) -> list[str]:
    """Return the names of an event's fields, inherited ones first."""
    owners = [vars(base).get("__annotations__", {}) for base in reversed(event.__mro__)]
    return list(dict.fromkeys(name for annotations in owners for name in annotations))


def _described_events() -> Iterator[str]:
    for aggregate in AGGREGATES:
        base = Administered.Created if issubclass(aggregate, Administered) else Recorded.Created
        shared = _fields(base)
        events = [
            member
            for member in vars(aggregate).values()
            if isinstance(member, type) and "TOPIC" in vars(member)
        ]
        for event in dict.fromkeys(events):
            own = ", ".join(f"`{name}`" for name in _fields(event) if name not in shared)
            yield f"| `{event.TOPIC}` | {own} |"  # type: ignore[attr-defined]  # looked for above


def test_events_lists_every_event() -> None:
    """Every event is documented with its topic and fields, and nothing else is."""
    rows = [" | ".join(row.split(" | ")[:2]) + " |" for row in _table("events.md", begins="")]

    assert sorted(rows) == sorted(_described_events())


def _errors(kind: type[OAuthError] = OAuthError) -> Iterator[type[OAuthError]]:
    for inner in kind.__subclasses__():
        if inner.__module__ == OAuthError.__module__:
            yield inner
            yield from _errors(inner)


def test_errors_lists_every_code() -> None:
    """Every error code is documented with its statuses, and nothing else is."""
    statuses: dict[str, set[int]] = {}
    for kind in _errors():
        statuses.setdefault(kind.code, set()).add(int(kind.status))
    expected = {
        f"| `{code}` | {', '.join(str(status) for status in sorted(found))}"
        for code, found in statuses.items()
    }

    assert {" | ".join(r.split(" | ")[:2]) for r in _table("errors.md", begins="")} == expected


def _command_names(command: click.Command, path: str) -> Iterator[str]:
    if isinstance(command, click.Group) and not command.invoke_without_command:
        for name, inner in command.commands.items():
            yield from _command_names(inner, f"{path} {name}")
    else:
        yield path


def test_cli_lists_every_command() -> None:
    """Every command is documented, and nothing else is."""
    documented = [row.split("`")[1] for row in _table("cli.md", begins="grantledger ")]

    assert sorted(documented) == sorted(_command_names(program, "grantledger"))


def test_cli_lists_every_exit_code() -> None:
    """Every exit code is documented."""
    text = (DOCS / "cli.md").read_text()
    codes = (outcomes.REFUSED, outcomes.USAGE, outcomes.AWAY, outcomes.INTERRUPTED)

    assert all(f"\n| {code} | " in text for code in codes)
    assert str(outcomes.TERMINATED) in text


def test_reports_lists_every_report() -> None:
    """Every report is documented with its question and its parameters, in the order of numbers."""
    rows = [
        f"| `{one.name}` | {one.number} | {one.question} | {one.asked_by} |"
        f" {', '.join(f'`{each.name}`' for each in one.parameters) or '-'} |"
        for one in REPORTS
    ]
    listed = (DOCS / "reports.md").read_text().partition("## The reports")[2].splitlines()

    assert [line for line in listed if line.startswith("| `")] == rows


def test_every_decision_is_listed() -> None:
    """The list of decisions names each page, and each has its three parts."""
    folder = DOCS / "decisions"
    listed = re.findall(r"\[(\d+)\]\((.+?)\)", (folder / "README.md").read_text())
    pages = sorted(page.name for page in folder.glob("[0-9]*.md"))

    assert [name for _, name in listed] == pages
    for number, name in listed:
        text = (folder / name).read_text()
        assert text.startswith(f"# {number}. ")
        assert all(f"**{part}.**" in text for part in ("Situation", "Choice", "What it costs"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every link to a file of the project leads to one."""
    targets = [
        target.partition("#")[0]
        for target in re.findall(r"\]\(([^)]+)\)", page.read_text())
        if not target.startswith(("http://", "https://"))
    ]

    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_files_exist(page: Path) -> None:
    """Every source file that a page names is there."""
    named = re.findall(r"`((?:api|application|domain|projections)/[\w/]+\.py)`", page.read_text())

    assert [name for name in named if not (ROOT / name).exists()] == []
