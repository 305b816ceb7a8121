"""Load on one URL for a while: by wrk where it is installed, else by a client of our own.

wrk is the better instrument: it leaves more of a small machine to the service. Both speak HTTP/1.1
with kept connections to the loopback interface, and end by themselves.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

DPOP = "DPoP"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Target:
    """A POST request to repeat; `url` is http and on the loopback interface.

    `tokens` are refresh tokens, one a connection and a spare: each request then uses one of them
    and gets its successor. `once` are values, each for one request, and more of them than there
    will be requests; `once_name` is the parameter of the body that they are, or DPOP for that
    header. Both are empty for a request that is the same every time.
    """

    url: str
    authorization: str
    body: str
    tokens: tuple[str, ...] = ()
    once: tuple[str, ...] = ()
    once_name: str = ""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What came of it; latencies in milliseconds. `failures` are answers other than 200."""

    connections: int
    seconds: float
    requests: int
    failures: int
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def generator() -> str:
    """Return the name of the load generator that will be used."""
    return "wrk" if shutil.which("wrk") else "the bundled client"


def measure(target: Target, *, connections: int, seconds: float) -> Measurement:
    """Repeat `target` on so many connections for so long."""
    wrk = shutil.which("wrk")
    if wrk is None:
        return _bundled(target, connections=connections, seconds=seconds)
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "request.lua"
        more = _ROTATING % " ".join(target.tokens) if target.tokens else ""
        if target.once:
            values = Path(folder) / "once"
            values.write_text("\n".join(target.once))
            more = _ONCE % values + (
                _IN_HEADER if target.once_name == DPOP else _IN_BODY % target.once_name
            )
        script.write_text(_LUA % (target.body, FORM, target.authorization) + more)
        command = [wrk, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s"]
        done = subprocess.run(
            [*command, "-s", str(script), target.url], check=True, capture_output=True, text=True
        )
    return _measurement(json.loads(done.stdout.split("RESULT ", 1)[1]), connections)


def send(target: Target, *, requests: int, connections: int) -> Measurement:
    """Send `target` exactly so often and wait for every answer."""
    return _bundled(target, connections=connections, seconds=3600, requests=requests)


def _bundled(
    target: Target, *, connections: int, seconds: float, requests: int | None = None
) -> Measurement:
    command = [sys.executable, "-m", "tests.benchmarks.load_client"]
    order = {
        "url": target.url,
        "authorization": target.authorization,
        "body": target.body,
        "tokens": target.tokens,
        "once": target.once,
        "once_name": target.once_name,
        "connections": connections,
        "seconds": seconds,
        "requests": requests,
    }
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, input=json.dumps(order)
    )
    return _measurement(json.loads(done.stdout), connections)


def _measurement(found: dict[str, float], connections: int) -> Measurement:
    return Measurement(
        connections=connections,
        seconds=found["seconds"],
        requests=int(found["requests"]),
        failures=int(found["failures"]),
        p50=found["p50"],
        p99=found["p99"],
    )


_LUA = """
wrk.method = "POST"
wrk.body = "%s"
wrk.headers["Content-Type"] = "%s"
local authorization = "%s"
if authorization ~= "" then wrk.headers["Authorization"] = authorization end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"seconds": %%f, "requests": %%d, "failures": %%d, "p50": %%f, "p99": %%f}',
    summary.duration / 1e6, summary.requests,
    e.status + e.connect + e.read + e.write + e.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""

# Which connection asks does not matter: whoever is next takes a token whose answer has come.
_ROTATING = """
local tokens = {}
for token in string.gmatch("%s", "%%S+") do table.insert(tokens, token) end
function request()
  local body = wrk.body .. "&refresh_token=" .. table.remove(tokens, 1)
  return wrk.format(nil, nil, nil, body)
end
function response(status, headers, body)
  table.insert(tokens, string.match(body, '"refresh_token":"([^"]+)"'))
end
"""

_ONCE = """
local values, used = {}, 0
for value in io.lines("%s") do table.insert(values, value) end
function once()
  used = used + 1
  return values[used]
end
"""
_IN_BODY = """
function request()
  return wrk.format(nil, nil, nil, wrk.body .. "&%s=" .. once())
end
"""
_IN_HEADER = """
function request()
  wrk.headers["DPoP"] = once()
  return wrk.format()
end
"""
