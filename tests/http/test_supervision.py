"""What the parent of all processes does when they end, and when it is told to end itself."""

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from api import server
from application.settings import Settings
from tests.waiting import eventually

_IDLE = ["-c", "import time; time.sleep(60)"]


class _CrashLoop:
    """A server whose workers die again and again; it counts how often one was started."""

    def __init__(self) -> None:
        self.interrupt_signal = False
        self.started = 0

    def serve(self) -> None:
        """End as granian does where it sees a crash loop."""
        self.started += 1
        raise SystemExit(1)


@pytest.fixture
def handlers() -> Iterator[None]:
    """Signals go where they went, afterwards."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_between_two_servers(
    handlers: None, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """While the workers are about to be started anew nobody listens but the parent: it ends, where
    it once told a server that was over already, and went on for ever.
    """
    looping, answered = _CrashLoop(), threading.Event()
    answered.set()
    monkeypatch.setattr(server, "_server", lambda *_: looping)
    monkeypatch.setattr(server, "_AGAIN_SECONDS", 20.0)
    monkeypatch.setattr(multiprocessing, "set_start_method", lambda *_, **__: None)
    told = threading.Timer(0.2, os.kill, (os.getpid(), number))
    told.start()
    with pytest.raises(SystemExit) as ended:
        server._run_workers(Settings(), "nothing:nothing", answered)
    told.join()

    assert ended.value.code == 0
    assert looping.started == 1


def test_a_process_that_cannot_be_started_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where there is no memory for it at the moment it died, it comes once there is."""
    started: list[subprocess.Popen[bytes]] = []
    refusals = [OSError(12, "Cannot allocate memory")]

    def detached(command: list[str]) -> subprocess.Popen[bytes]:
        if started and refusals:
            raise refusals.pop()
        started.append(subprocess.Popen([sys.executable, *command[1:]]))
        return started[-1]

    monkeypatch.setattr(server, "_detached", detached)
    monkeypatch.setattr(server, "_LOOK_SECONDS", 0.02)
    with server._kept("something", _IDLE):
        started[0].kill()
        eventually(lambda: len(started) == 2)
        running: Any = psutil.Process(started[1].pid).status()

    assert refusals == []
    assert running != psutil.STATUS_ZOMBIE
    assert started[1].poll() is not None


def test_lines_of_the_http_server_go_the_way_of_ours() -> None:
    """A traceback that it writes is a line of JSON without secrets, like every other."""
    server._server(Settings(), "nothing:nothing")
    its = logging.getLogger("_granian")

    assert its.handlers == []
    assert its.propagate
