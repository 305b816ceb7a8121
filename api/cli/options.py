"""Options that many commands share, and how they become settings."""

from pathlib import Path
from typing import Any, TypeVar

import rich_click as click

from application.settings import Settings, SettingsError, load_settings

Command = TypeVar("Command")

_DATA_DIR = "grantledger.data_dir"


def data_dir_option(command: Command) -> Command:
    """Add --data-dir; it counts before the command as well as after it."""
    return click.option(
        "--data-dir",
        metavar="DIR",
        expose_value=False,
        is_eager=True,
        callback=_keep_data_dir,
        help="Where the embedded database and bootstrap.json are  [env: GRANTLEDGER_DATA_DIR]",
    )(command)  # type: ignore[type-var]


def json_option(command: Command) -> Command:
    """Add --json, as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table")(
        command  # type: ignore[type-var]
    )


def as_of_option(command: Command) -> Command:
    """Add --as-of, as `as_of`: text or None."""
    return click.option(
        "--as-of",
        metavar="TIME|POSITION",
        help="As the service stood then: 2026-03-03T12:00:00Z, -90d, or a position of the log",
    )(command)  # type: ignore[type-var]


def reason_option(command: Command) -> Command:
    """Add --reason."""
    return click.option(
        "--reason", default="", metavar="TEXT", help="Why; kept in the record with your user name"
    )(command)  # type: ignore[type-var]


def examples(*lines: str) -> str:
    """Return the epilog of a command: what to type, ready to be pasted."""
    return "\n\n".join(("Examples:", *lines))  # the renderer makes one line break of two


def settings_in_force(**given: Any) -> Settings:
    """Return the settings of the environment, the options of the running command first.

    Raises SettingsError.
    """
    context = click.get_current_context()
    assert context is not None  # outside of a command the call raises
    settings = load_settings(data_dir=context.meta.get(_DATA_DIR), **given)
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        place = settings.data_dir
        raise SettingsError(f"GRANTLEDGER_DATA_DIR: {place}: {error.strerror}") from None
    return settings


def _keep_data_dir(context: click.Context, _: click.Parameter, value: str | None) -> None:
    if value:
        # Absolute: the processes that are started get it by the environment.
        context.meta[_DATA_DIR] = Path(value).absolute()
