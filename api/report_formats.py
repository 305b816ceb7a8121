"""How the answer to a report is written: JSON with what it rests on, CSV, or Parquet.

- JSON: an object with report, parameters, position and moment, when it was made, columns, rows;
  characters that nobody sees are escaped.
- CSV: a line of names and the rows, nothing else; lists with spaces between, objects as JSON.
  Characters that nobody sees are named, for people open it (domain.visible_text). A
  text that a spreadsheet would take for a formula (it begins with = + - @, wide or not, or with a
  tab or a line end) gets an apostrophe before it: names come from strangers. What a spreadsheet of
  another country would part at (semicolon, tab) stands in quotes: else the rest began a cell.
- Parquet: the rows, typed; what it rests on is in the file's metadata under `grantledger`.
"""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic_core import to_json

from domain.visible_text import escaped_json, visible
from projections.reports.report import Answer

# The wide forms count as well where the spreadsheet is set to Chinese or Japanese.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_PARTED = re.compile('[,;"\\t\\r\\n]')


class Format(StrEnum):
    """What an answer can be written as."""

    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


MEDIA_TYPES: Mapping[Format, str] = {
    Format.JSON: "application/json",
    Format.CSV: "text/csv",
    Format.PARQUET: "application/vnd.apache.parquet",
}


def written(answer: Answer, form: Format) -> bytes:
    """Return the answer in the format `form`."""
    return _WRITERS[form](answer)


def provenance(answer: Answer) -> dict[str, Any]:
    """Return what the answer rests on: report, parameters, position and moment."""
    return {
        "report": answer.report.name,
        "parameters": dict(answer.given),
        "as_of": {"position": answer.as_of.position, "moment": answer.as_of.moment},
        "made_at": answer.made_at,
    }


def as_object(answer: Answer) -> dict[str, Any]:
    """Return the answer as the JSON object that both API and command line give."""
    names = [column.name for column in answer.report.columns]
    return {
        **provenance(answer),
        "columns": names,
        "rows": [dict(zip(names, row, strict=True)) for row in answer.rows],
    }


def _json(answer: Answer) -> bytes:
    return escaped_json(to_json(as_object(answer), indent=2).decode()).encode() + b"\n"


def _csv(answer: Answer) -> bytes:
    lines = [csv_line([column.name for column in answer.report.columns])]
    lines += [csv_line([cell(value) for value in row]) for row in answer.rows]
    return "".join(f"{line}\r\n" for line in lines).encode()


def csv_line(cells: Sequence[str]) -> str:
    """Return a record of CSV without its line end (RFC 4180, Section 2)."""
    if len(cells) == 1 and not cells[0]:
        return '""'  # an empty line would be no record
    return ",".join(
        '"' + text.replace('"', '""') + '"' if _PARTED.search(text) else text for text in cells
    )


def cell(value: Any) -> str:
    """Return `value` as a cell of CSV: lists with spaces between, no formula."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case datetime():
            return value.isoformat()
        case list() if all(isinstance(part, str) for part in value):
            text = " ".join(value)
        case list() | dict():
            text = to_json(value).decode()
        case _:
            text = str(value)
    text = visible(text, keep="\t\r\n")
    return f"'{text}" if text.startswith(_FORMULA) else text


def _parquet(answer: Answer) -> bytes:
    import pyarrow as pa  # noqa: PLC0415  # tens of megabytes that no worker needs before
    import pyarrow.parquet as pq  # noqa: PLC0415

    columns = {
        column.name: _typed(pa, [row[place] for row in answer.rows])
        for place, column in enumerate(answer.report.columns)
    }
    table = pa.table(columns).replace_schema_metadata({"grantledger": to_json(provenance(answer))})
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd")
    return out.getvalue()


def _typed(pa: Any, values: list[Any]) -> Any:
    plain = [_plain(value) for value in values]
    try:
        found = pa.array(plain)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # of several kinds: as text then
        return pa.array([None if value is None else cell(value) for value in values])
    if pa.types.is_timestamp(found.type):
        return found.cast(pa.timestamp("us", tz="UTC"))
    return found.cast(pa.string()) if pa.types.is_null(found.type) else found


def _plain(value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, dict) or (
        isinstance(value, list) and any(isinstance(part, dict | list) for part in value)
    ):
        return to_json(value).decode()
    return value


_WRITERS: Mapping[Format, Callable[[Answer], bytes]] = {
    Format.JSON: _json,
    Format.CSV: _csv,
    Format.PARQUET: _parquet,
}
