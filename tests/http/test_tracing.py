"""Whether traces are wanted, what is missing for them, and what they do to an application."""

import json
import logging
from collections.abc import Iterator
from time import monotonic
from typing import Any

import pytest

from api import spans, tracing
from api.logging_setup import configure_logging
from api.spans import Traces
from application.settings import SettingsError
from tests.cli.running_service import free_port, run_command
from tests.http.collector import running_collector

WANTED = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        (WANTED, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({**WANTED, "OTEL_TRACES_EXPORTER": "none"}, False),
        ({**WANTED, "OTEL_SDK_DISABLED": "TRUE"}, False),
        ({**WANTED, "OTEL_SDK_DISABLED": "false"}, True),
        ({"OTEL_SERVICE_NAME": "auth"}, False),
    ],
)
def test_who_wants_traces(environment: dict[str, str], wanted: bool) -> None:
    """A collector that is named, unless OpenTelemetry's own switches say no."""
    assert tracing.are_wanted(environment) is wanted


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER"),
        ({**WANTED, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL"),
        (
            {**WANTED, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"},
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        ),
    ],
)
def test_what_is_not_known_here_is_named(environment: dict[str, str], named: str) -> None:
    """What we cannot do is refused at the start, in a line that names the variable."""
    with pytest.raises(SettingsError, match=f"^{named}: only "):
        tracing.traces_wanted(environment)


@pytest.mark.parametrize("missing", ["opentelemetry.not_there", "not_there.at_all"])
def test_what_is_not_installed_is_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for traces without the optional part is told how to get it; others are not asked."""
    monkeypatch.setattr(tracing, "_NEEDED", (missing,))
    tracing.require_traces({})

    with pytest.raises(SettingsError, match=r"pip install 'grantledger\[otel\]'"):
        tracing.require_traces(WANTED)


def test_serve_refuses_before_it_starts() -> None:
    """A wrong variable ends the start with one line and the exit code of a wrong setting."""
    ended = run_command("serve", OTEL_TRACES_EXPORTER="jaeger")

    assert ended.returncode == 2
    assert "OTEL_TRACES_EXPORTER: only otlp and none are known here" in ended.stderr


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """The handlers of the root logger afterwards are those of before."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


async def _lifespan(app: Any) -> None:
    await app({"type": "lifespan"}, None, None)


async def _application(scope: Any, _: Any, send: Any) -> None:
    if scope["type"] == "http":
        logging.getLogger("here").warning("within a request")
        await send({"type": "http.response.start", "status": 503, "headers": []})


async def _nothing(_: Any) -> None:
    pass


REQUEST = {"type": "http", "method": "BREW", "path": "/pot/secret", "headers": []}


@pytest.mark.usefixtures("restored_logging")
async def test_log_lines_name_their_span(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line within a request has the ids by which its span is found, any other line has none."""
    with running_collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        configure_logging("warning", "json")
        app: Any = Traces({}).around(_application, ())
        await app(REQUEST, None, _nothing)
        logging.getLogger("here").warning("outside")
        await _lifespan(app)
    within, outside = map(json.loads, capsys.readouterr().err.splitlines())
    (span,) = collector.spans

    assert (within["trace_id"], within["span_id"]) == (span.trace, span.id)
    assert "trace_id" not in outside
    # A method that is none, and a path that is no route, are somebody's text.
    assert span.name == "_OTHER"
    assert span.attributes == {"http.request.method": "_OTHER", "http.response.status_code": 503}
    assert span.failed


@pytest.mark.usefixtures("restored_logging")
async def test_a_collector_that_is_away_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The end of a process waits for its last spans for a moment only."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setattr(spans, "FLUSH_SECONDS", 0.3)
    app: Any = Traces({}).around(_application, ())
    await app(REQUEST, None, _nothing)
    began = monotonic()
    await _lifespan(app)

    assert 0.25 < monotonic() - began < 2
