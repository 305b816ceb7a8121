"""`grantledger serve` as a person has it: a process in a terminal of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.waiting import eventually

START_SECONDS = 60
STOP_SECONDS = 20
COMMAND = (sys.executable, "-m", "api.cli")


class RunningService:
    """A service that was started; `output` and `log` are what it printed so far."""

    def __init__(self, data_dir: Path, port: int, *options: str, **environment: str) -> None:
        data_dir.mkdir(exist_ok=True)
        self.data_dir = data_dir
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._output = data_dir / "output"
        self._log = data_dir / "log"
        with self._output.open("w") as output, self._log.open("w") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "serve", "--data-dir", str(data_dir), "--port", str(port), *options],
                stdout=output,
                stderr=log,
                env=clean_environment(**environment),
                start_new_session=True,  # a process group of its own, as in a terminal
            )

    @property
    def output(self) -> str:
        """What it printed so far."""
        return self._output.read_text()

    @property
    def log(self) -> str:
        """What it logged so far."""
        return self._log.read_text()

    @property
    def bootstrap(self) -> dict[str, Any]:
        """What bootstrap.json says."""
        content: dict[str, Any] = json.loads((self.data_dir / "bootstrap.json").read_text())
        return content

    def wait_until_announced(self) -> None:
        """Return once the lines to paste are printed, which is when requests are answered."""
        eventually(
            lambda: "/audit/tokens/" in self.output or self.process.poll() is not None,
            seconds=START_SECONDS,
        )
        assert self.process.poll() is None, self.log

    def processes(self) -> list[psutil.Process]:
        """Return every process that belongs to the service, its database's included."""
        parent = psutil.Process(self.process.pid)
        pid_file = self.data_dir / "postgres" / "postmaster.pid"
        postmaster = psutil.Process(int(pid_file.read_text().split("\n")[0]))
        return [
            parent,
            *parent.children(recursive=True),
            postmaster,
            *postmaster.children(recursive=True),
        ]

    def interrupt(self) -> int:
        """Press Ctrl-C, which reaches the whole process group, and return the exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(STOP_SECONDS)


@contextmanager
def running_service(
    data_dir: Path, *options: str, port: int | None = None, **environment: str
) -> Iterator[RunningService]:
    """Start a service on `port` or a free one, wait until it answers, and stop it at the end."""
    service = RunningService(data_dir, port or free_port(), *options, **environment)
    try:
        service.wait_until_announced()
        yield service
    finally:
        if service.process.poll() is None:
            service.process.terminate()
            service.process.wait(STOP_SECONDS)


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def gone(processes: list[psutil.Process]) -> bool:
    """Tell whether none of `processes` lives; one that only waits to be reaped is dead."""
    return not [
        process
        for process in processes
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    ]


def clean_environment(**given: str) -> dict[str, str]:
    """Return the environment without settings of ours, but with `given`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GRANTLEDGER_") and name != "DATABASE_URL"
    }
    return {**kept, **given}


def run_command(
    *arguments: str, stdin: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, `stdin` its input, and return what it printed."""
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        check=False,
        input=stdin,
        timeout=START_SECONDS,
        env=clean_environment(**environment),
    )


def paste(lines: str) -> str:
    """Return what a shell prints when `lines` are pasted into it."""
    result = subprocess.run(
        ["sh", "-eu"], input=lines, capture_output=True, text=True, check=False, timeout=30
    )
    assert result.returncode == 0, result.stderr
    return result.stdout
