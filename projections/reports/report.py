"""What a report is: a question with its SQL, parameters and columns, and the answer to it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from projections.as_of import AsOf
from projections.query import Query

Row = tuple[Any, ...]


class Kind(StrEnum):
    """What a parameter takes. `DAYS` is a number of days, `MOMENT` what --as-of takes."""

    TEXT = "text"
    NUMBER = "number"
    DAYS = "days"
    MOMENT = "moment"
    UUID = "uuid"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value the question needs; without `default` it has to be given, None leaves it open."""

    name: str
    kind: Kind
    meaning: str
    required: bool = False
    default: str | int | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the answer, in words."""

    name: str
    meaning: str


Evaluate = Callable[[Sequence[Row], Mapping[str, Any]], Sequence[Row]]
"""Makes the rows of the answer out of those of the SQL, where SQL alone cannot."""


@dataclass(frozen=True, slots=True)
class Report:
    """One of the questions of auditors.

    `sql` selects exactly the `columns`, in their order, unless `evaluate` makes them. `asked_by`
    names the controls that want it. `live` asks PostgreSQL what is known only of now, for
    `evaluate` to add where now is what is asked. Rows come in an order that `sql` fixes: the same
    question about the same prefix of the log has the same answer, byte for byte.
    """

    number: int
    name: str
    title: str
    question: str
    asked_by: str
    columns: Sequence[Column]
    sql: str
    parameters: Sequence[Parameter] = ()
    evaluate: Evaluate | None = None
    live: Query[Any] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows that answer `report`, from the log up to `as_of`; `made_at` is UTC.

    `given` are the parameters as they counted.
    """

    report: Report
    as_of: AsOf
    made_at: datetime
    rows: Sequence[Row]
    given: Mapping[str, Any] = field(default_factory=dict)
