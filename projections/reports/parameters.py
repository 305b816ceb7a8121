"""What was given for the parameters of a report, as the SQL takes it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from projections.as_of import UnreadableAsOf, parse_as_of
from projections.reports.report import Kind, Parameter, Report

MAX_NUMBER = 1_000_000
MAX_DAYS = 36_500
_MAX_TEXT = 2048
_LIMITS = {Kind.NUMBER: MAX_NUMBER, Kind.DAYS: MAX_DAYS}


class UnusableParameter(ValueError):
    """A report cannot be asked like this; the message says how it can."""


def given_values(report: Report, given: Mapping[str, str], *, now: datetime) -> dict[str, Any]:
    """Return a value for each parameter of `report`; None for what was left open.

    A moment given as a position of the log stays one, an int. Raises UnusableParameter.
    """
    known = {one.name: one for one in report.parameters}
    for name in given:
        if name not in known:
            there_are = ", ".join(known) or "none"
            raise UnusableParameter(
                f"{report.name} has no parameter {name}; there are: {there_are}"
            )
    return {name: _value(one, given.get(name), now) for name, one in known.items()}


def _value(parameter: Parameter, text: str | None, now: datetime) -> Any:
    if text is None or text == "":
        if parameter.required:
            raise UnusableParameter(f"{parameter.name} is needed: {parameter.meaning}")
        return parameter.default
    return _read(parameter, text, now)


def _read(parameter: Parameter, text: str, now: datetime) -> Any:
    name = parameter.name
    match parameter.kind:
        case Kind.TEXT:
            if len(text) > _MAX_TEXT or not text.isprintable():
                raise UnusableParameter(f"{name}: at most {_MAX_TEXT} printable characters")
            return text
        case Kind.NUMBER | Kind.DAYS:
            most = _LIMITS[parameter.kind]
            if not (text.isascii() and text.isdigit() and len(text) <= 9) or int(text) > most:
                raise UnusableParameter(f"{name}: a whole number from 0 to {most}, not {text!r}")
            return int(text)
        case Kind.UUID:
            try:
                return UUID(text)
            except ValueError:
                raise UnusableParameter(f"{name}: a UUID, such as a jti, not {text!r}") from None
        case Kind.MOMENT:
            try:
                return parse_as_of(text, now=now)
            except UnreadableAsOf as error:
                raise UnusableParameter(f"{name}: {error}") from None
