"""The reports over HTTP, for those who may read the audit trail (scope `audit:read`).

A report that takes longer than REPORT_SECONDS, or has more than MAX_ROWS rows, is not for a service
that issues tokens beside it: the answer says to narrow it, or to ask on the command line.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from litestar import Response, Router, get
from litestar.datastructures import MultiDict
from litestar.openapi.datastructures import ResponseSpec
from pydantic import BaseModel, ConfigDict, Field

from api.admin_requests import AnyRequest
from api.audit_reads import TAKES_PARAMETERS_OF_ITS_OWN
from api.audit_routes import AsOfText, auditors_router, moment_or_position
from api.composition import Service
from api.read_models import TookTooLong
from api.report_formats import MEDIA_TYPES, Format, written
from application.errors import InvalidRequest, NotFound
from projections.reports.asking import TooManyRows, answering
from projections.reports.parameters import UnusableParameter
from projections.reports.registry import REPORTS, report_named
from projections.reports.report import Answer, Report

REPORT_SECONDS = 30.0
MAX_ROWS = 50_000
_OWN = ("as_of", "format")


class ParameterView(BaseModel):
    """A parameter of a report."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: str = Field(description="text, number, days, moment or uuid")
    meaning: str
    required: bool
    default: str | int | None


class ReportView(BaseModel):
    """What a report answers, and what it takes."""

    model_config = ConfigDict(frozen=True)

    number: int
    name: str
    title: str
    question: str
    asked_by: str
    parameters: tuple[ParameterView, ...]
    columns: dict[str, str] = Field(description="What each column means")


class ReportAnswer(BaseModel):
    """The answer as JSON. Made at one moment, of the log up to one position."""

    model_config = ConfigDict(frozen=True)

    report: str
    parameters: dict[str, Any]
    as_of: dict[str, Any] = Field(
        description="The position of the log, and the moment it stands for"
    )
    made_at: str
    columns: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]


def reports_router(service: Service) -> Router:
    """Return the routes below /reports."""

    @get("/", tags=["Reports"], summary="The reports there are, with what each answers and takes")
    async def reports() -> list[ReportView]:
        return [_view(report) for report in REPORTS]

    @get(
        "/{report_name:str}",
        tags=["Reports"],
        summary="The answer to one report, now or as of a moment or position",
        description="What is not named here is a parameter of the report: see GET /reports.",
        opt={TAKES_PARAMETERS_OF_ITS_OWN: True},
        responses={
            200: ResponseSpec(
                ReportAnswer,
                description="The answer, as JSON, CSV or Parquet",
                generate_examples=False,
            )
        },
    )
    async def report(
        request: AnyRequest,
        report_name: str,
        as_of: AsOfText = None,
        format: Format = Format.JSON,  # noqa: A002  # the name of the query parameter
    ) -> Response[bytes]:
        try:
            wanted = report_named(report_name)
        except KeyError as error:
            raise NotFound(str(error.args[0])) from None
        answer = await answered(service, wanted, _given(request.query_params), as_of)
        attached = f'attachment; filename="{report_name}.{format}"'
        return Response(
            await asyncio.to_thread(written, answer, format),  # tokens go on being issued
            media_type=MEDIA_TYPES[format],
            headers={} if format is Format.JSON else {"content-disposition": attached},
        )

    return auditors_router(service, "/reports", [reports, report])


async def answered(
    service: Service, report: Report, given: dict[str, str], as_of: str | None
) -> Answer:
    """Return the answer to `report`, as of the text `as_of`, None for now.

    Raises InvalidRequest for what it cannot take and for an answer that is too large or too slow.
    """
    now = service.clock.now()
    try:
        asked = moment_or_position("as_of", as_of, now)
        asking = answering(report, given, asked, now=now, policy=service.policy, max_rows=MAX_ROWS)
        return await service.read_models.answered_at_once(asking, seconds=REPORT_SECONDS)
    except (UnusableParameter, TooManyRows) as error:
        raise InvalidRequest(str(error)) from None
    except TookTooLong:
        raise InvalidRequest(
            f"the report takes longer than {REPORT_SECONDS:.0f} s: narrow it, or ask on the command"
            f" line: grantledger report {report.name}"
        ) from None


def _given(query: MultiDict[Any]) -> dict[str, str]:
    given: dict[str, str] = {}
    for name, value in query.multi_items():
        if name in _OWN:
            continue
        if name in given:
            raise InvalidRequest(f"{name} is given more than once")
        given[name] = value
    return given


def _view(report: Report) -> ReportView:
    parameters: Sequence[ParameterView] = [
        ParameterView(
            name=one.name,
            kind=one.kind,
            meaning=one.meaning,
            required=one.required,
            default=one.default,
        )
        for one in report.parameters
    ]
    return ReportView(
        number=report.number,
        name=report.name,
        title=report.title,
        question=report.question,
        asked_by=report.asked_by,
        parameters=tuple(parameters),
        columns={column.name: column.meaning for column in report.columns},
    )
