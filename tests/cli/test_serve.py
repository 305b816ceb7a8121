"""`grantledger serve` from the first start to the last: what a newcomer does, in real processes."""

import json
import os
import pty
import signal
import stat
import subprocess
from pathlib import Path
from typing import Any

import httpx

from tests.cli.running_service import (
    COMMAND,
    STOP_SECONDS,
    RunningService,
    clean_environment,
    free_port,
    gone,
    paste,
    run_command,
    running_service,
)
from tests.postgres import Postgres
from tests.waiting import eventually


def _pasted(service: RunningService) -> str:
    """Return the lines to paste out of an announcement."""
    _, _, lines = service.output.partition("# 1. a token")
    return f"# 1. a token{lines}"


def _audit_entry_pasted(service: RunningService) -> dict[str, Any]:
    """Paste all lines until the audit trail has the token, and return the last answer."""
    answers: list[dict[str, Any]] = []

    def entry_is_there() -> bool:
        _, _, last = paste(_pasted(service)).rpartition("\n}\n{")
        answers.append(json.loads("{" + last))
        return "entries" in answers[-1]

    eventually(entry_is_there, seconds=10)
    return answers[-1]


def test_first_lines_work_as_they_are(service: RunningService) -> None:
    """The lines of the first run, pasted into sh, give a token, its introspection, its entry."""
    answer = _audit_entry_pasted(service)

    entry = answer["entries"][0]
    assert entry["topic"] == "token.issued"
    assert entry["client_id"] == "demo"


def test_first_run_keeps_secrets_and_writes_none_to_a_file(service: RunningService) -> None:
    """bootstrap.json keeps both for its owner alone; output that is no terminal says where."""
    path = service.data_dir / "bootstrap.json"

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "gls_" not in service.output
    assert f"readable by you alone, are in {path}\n" in service.output


def test_first_run_shows_secrets_on_a_terminal(postgres: Postgres, tmp_path: Path) -> None:
    """A person who starts it sees both secrets, and the first curl line alone, without anything
    before it, prints a token.
    """
    ours, theirs = pty.openpty()
    with postgres.database() as url:
        process = subprocess.Popen(
            [*COMMAND, "serve", "--data-dir", str(tmp_path), "--port", str(free_port())],
            stdout=theirs,
            stderr=subprocess.DEVNULL,
            env=clean_environment(DATABASE_URL=url),
            start_new_session=True,
        )
        os.close(theirs)
        shown = ""
        try:
            while "/audit/tokens/" not in shown:
                shown += os.read(ours, 65536).decode()
            line = next(line for line in shown.splitlines() if line.startswith("TOKEN="))
            token = paste(line)
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)
            os.close(ours)
    kept = json.loads((tmp_path / "bootstrap.json").read_text())

    assert token.count(".") == 2
    for name in ("demo", "administration"):
        assert kept[name]["client_secret"] in shown


def test_log_of_first_run_has_no_secret(service: RunningService) -> None:
    """What goes to the log, unlike the terminal, holds no secret."""
    assert "gls_" not in service.log


def test_commands_beside_running_service(service: RunningService) -> None:
    """A client registered on the command line gets a token from the running service."""
    place = ("--data-dir", str(service.data_dir))
    created = run_command("client", "create", "batch", "--scope", "mcp", "--json", *place)
    secret = json.loads(created.stdout)["client_secret"]

    def issued() -> bool:
        result = run_command(
            *("token", "issue", "--client-id", "batch", "--json", *place),
            GRANTLEDGER_CLIENT_SECRET=secret,
        )
        return result.returncode == 0 and json.loads(result.stdout)["scope"] == "mcp"

    eventually(issued, seconds=10)
    assert httpx.get(f"{service.url}/readyz").status_code == 200


def test_status_finds_running_service(service: RunningService) -> None:
    """`status` finds the service by its data directory, whatever its port."""
    result = run_command("status", "--json", "--data-dir", str(service.data_dir))

    status = json.loads(result.stdout)
    assert status["ready"] is True
    assert status["issuer"] == service.url


def test_port_in_use(service: RunningService, data_dir: Path) -> None:
    """A port in use ends the start with one line and exit code 2, before a database is made."""
    result = run_command("serve", "--port", str(service.port), "--data-dir", str(data_dir))

    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert f"cannot listen on 127.0.0.1:{service.port}" in result.stderr
    assert not (data_dir / "postgres").exists()


def test_two_side_by_side(service: RunningService, data_dir: Path) -> None:
    """A second service with its own port and directory knows nothing of the first one's tokens."""
    with running_service(data_dir, "--workers", "2") as second:
        answers = [
            httpx.post(
                f"{one.url}/oauth/token",
                auth=("demo", one.bootstrap["demo"]["client_secret"]),
                data={"grant_type": "client_credentials"},
            ).json()
            for one in (service, second)
        ]
        seen = httpx.post(
            f"{second.url}/oauth/introspect",
            auth=("demo", second.bootstrap["demo"]["client_secret"]),
            data={"token": answers[0]["access_token"]},
        ).json()

    assert "access_token" in answers[1]
    assert seen == {"active": False}


def test_kill_restart_and_ctrl_c(data_dir: Path) -> None:
    """After SIGKILL workers and projections end by themselves; the next start works on the same
    database with the same secrets, which it does not show; and Ctrl-C ends every process.
    """
    with running_service(data_dir) as killed:
        kept = killed.bootstrap
        helpers = [one for one in killed.processes()[1:] if "postgres" not in one.name()]
        os.kill(killed.process.pid, signal.SIGKILL)
        killed.process.wait()
        eventually(lambda: gone(helpers), seconds=10)
    with running_service(data_dir) as again:
        answer = _audit_entry_pasted(again)
        processes = again.processes()
        code = again.interrupt()

        assert len(helpers) >= 2
        assert again.bootstrap["demo"]["client_secret"] == kept["demo"]["client_secret"]
        assert "gls_" not in again.output
        assert "entries" in answer
        assert code == 0
        eventually(lambda: gone(processes))


def test_wrong_setting(data_dir: Path) -> None:
    """A wrong setting is one line that names it, and exit code 2; nothing is made."""
    result = run_command("serve", "--data-dir", str(data_dir), "--port", "http")

    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith(
        "grantledger: GRANTLEDGER_PORT: Input should be a valid integer"
    )
    assert result.stderr.count("\n") == 1
