"""Reports: the gallery, and each with a form for what it takes, its answer and downloads of it."""

from collections.abc import Mapping
from typing import Any

from litestar import Response

from api.console.desk import Page, Sight
from api.report_formats import MEDIA_TYPES, Format, written
from api.reports import answered
from api.visit import AnyResponse, path_with
from application.errors import InvalidRequest, NotFound
from projections.reports.registry import REPORTS, report_named
from projections.reports.report import Answer, Report

ROWS_SHOWN = 500
OWN = ("run", "as_of", "format")


async def gallery(sight: Sight) -> AnyResponse:
    """List the reports there are."""
    return sight.render("reports.html", reports=REPORTS)


def page(name: str) -> Page:
    """Return the page of one report; it is asked once the form was sent."""

    async def shown(sight: Sight) -> AnyResponse:
        try:
            report = report_named(name)
        except KeyError:
            raise NotFound("there is no such report") from None
        if sight.form.get("run") is None:
            return _render(sight, report)
        try:
            answer = await answered(sight.service, report, _given(sight), sight.form.get("as_of"))
            form = _format(sight.form.get("format"))
        except InvalidRequest as error:
            return _render(sight, report, error=error)
        return _render(sight, report, answer) if form is None else _download(answer, form)

    return shown


def _given(sight: Sight) -> dict[str, str]:
    return {name: text for name, text in sight.asked.items() if name not in OWN}


def _format(text: str | None) -> Format | None:
    try:
        return None if text is None else Format(text)
    except ValueError:
        raise InvalidRequest(f"format is one of {', '.join(Format)}") from None


def _render(
    sight: Sight,
    report: Report,
    answer: Answer | None = None,
    error: InvalidRequest | None = None,
) -> AnyResponse:
    given = _given(sight)
    return sight.render(
        "report.html",
        status=200 if error is None else 400,
        report=report,
        given=given,
        as_of=sight.form.get("as_of") or "",
        error=None if error is None else error.description,
        answer=answer,
        rows=[] if answer is None else answer.rows[:ROWS_SHOWN],
        shown=ROWS_SHOWN,
        downloads={} if answer is None else _downloads(report, given, answer),
    )


def _downloads(report: Report, given: Mapping[str, str], answer: Answer) -> dict[str, str]:
    """Return where the same answer is had as a file: of the same prefix of the log."""
    asked: dict[str, Any] = {**given, "as_of": str(answer.as_of.position), "run": "1"}
    return {
        form.upper(): path_with(f"/console/reports/{report.name}", **asked, format=form)
        for form in Format
    }


def _download(answer: Answer, form: Format) -> AnyResponse:
    name = f"{answer.report.name}.{form}"
    return Response(
        written(answer, form),
        media_type=MEDIA_TYPES[form],
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        },
    )
