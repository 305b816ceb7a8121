"""Log lines: one form for all, the request's id in them, and no secret whoever wrote it."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from api import worker
from api.logging_setup import Format, configure_logging

JWT = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_json_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    """Where standard error is no terminal each line is an object, with the id of the request."""
    configure_logging("info")
    logging.getLogger("some.library").warning("%d of %d", 1, 2, extra={"request_id": "req_1"})
    line = json.loads(capsys.readouterr().err)
    age = datetime.now(UTC) - datetime.fromisoformat(line.pop("timestamp"))

    assert line == {
        "event": "1 of 2",
        "level": "warning",
        "logger": "some.library",
        "request_id": "req_1",
    }
    assert timedelta(0) <= age < timedelta(seconds=10)


def test_an_exception_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A traceback is a member of the object and breaks no reader that goes line by line."""
    configure_logging("info", "json")
    try:
        raise ValueError(f"not {JWT}")
    except ValueError:
        logging.getLogger("api").exception("request failed")
    (line,) = capsys.readouterr().err.splitlines()

    assert "ValueError: not [redacted]" in json.loads(line)["exception"]


def test_below_the_level(capsys: pytest.CaptureFixture[str]) -> None:
    """What is less severe than asked for is not written, and chatty libraries only warn."""
    configure_logging("info", "json")
    logging.getLogger("api").debug("detail")
    logging.getLogger("psycopg.pool").info("connected")

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("secret gls_0123456789abcdefghij", "secret [redacted]"),
        ("code glc_AbC-_0123456789", "code [redacted]"),
        ("initial access gli_0123456789abcdef.abcdefgh-_", "initial access [redacted]"),
        (f"token {JWT}.", "token [redacted]."),
        ("read:\ngls_0123456789abcdefghij", "[redacted]"),
        (f"read:\t{JWT}", "[redacted]"),
        ("Authorization: Basic ZGVtbzpzZWNyZXQ=", "Authorization: Basic [redacted]"),
        ("authorization: bearer opaque-token-1", "authorization: bearer [redacted]"),
        ("postgresql://app:pa55word@db/x", "postgresql://[redacted]@db/x"),
        ("postgresql://app@db/x is away", "postgresql://app@db/x is away"),
        ("globally glad_ly basic facts", "globally glad_ly basic facts"),
    ],
)
def test_no_secret(capsys: pytest.CaptureFixture[str], form: Format, text: str, shown: str) -> None:
    """What reads like a secret is taken out, and other words stay."""
    configure_logging("info", form)
    logging.getLogger("a.library").error("%s", text)

    line = capsys.readouterr().err
    assert shown in line
    assert "0123456789abcdefghij" not in line
    assert JWT not in line


def test_traces_find_the_handlers_that_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """They name themselves in the lines of a worker's handlers: those must be there by then."""
    seen: list[logging.Handler] = []
    monkeypatch.setattr(worker, "traces_wanted", lambda _: seen.extend(logging.root.handlers))
    service = SimpleNamespace(log=SimpleNamespace(epoch=SimpleNamespace(begin=None)))
    monkeypatch.setattr(worker, "service_of_worker", lambda _: service)
    monkeypatch.setattr(worker, "create_app", lambda _: None)
    monkeypatch.setattr(worker, "token_endpoints", lambda _: {})
    worker.composed(lambda _: {})

    assert seen
    assert seen == logging.root.handlers


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_line_drives_the_terminal(form: Format, capsys: pytest.CaptureFixture[str]) -> None:
    """What strangers sent is escaped, C1 controls and what turns a line round as well."""
    configure_logging("info", form)
    logging.getLogger("some.library").warning("no such client: %s", "\x1b[2J\x9b31m\u202e\u200b")
    line = capsys.readouterr().err

    assert "no such client" in line
    assert not set(line) & set("\x1b\x9b\u202e\u200b")
