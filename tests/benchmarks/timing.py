"""Whether refusals of client authentication can be told apart from outside by their time.

All of them say the same (RFC 6749, Section 5.2: invalid_client); this measures that they also take
the same, over HTTP on one kept connection, in two groups: by a secret, and by an assertion. Each
kind is compared with the unknown client, which is also compared with itself: that row shows what
the machine's noise looks like.
"""

import argparse
import random
import socket
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from tests.benchmarks.differences import Difference, difference
from tests.benchmarks.families import TOKEN, administrator
from tests.benchmarks.service import RunningService, basic, running_service

ROUNDS = 4000
WARM_UP = 300
TOLERANCE = 10.0
"""Microseconds: what one exception more and a dictionary less may make; a network's noise is far
above it."""
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_UNKNOWN, _AGAIN = "unknown client", "unknown client, again"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the measurement; 1 where a kind can be told from the unknown client."""
    parser = argparse.ArgumentParser(prog="make bench-timing", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args(arguments).rounds
    told = False
    with tempfile.TemporaryDirectory(prefix="grantledger-timing-") as folder:
        Path(folder).chmod(0o755)
        with running_service(Path(folder), workers=1) as service:
            clients = _Clients(service)
            for group, requests in (
                ("a secret", clients.by_secret()),
                ("an assertion", clients.by_assertion()),
            ):
                samples = _sampled(service.url, requests, rounds)
                told |= _reported(group, samples)
    return int(told)


class _Clients:
    """Clients of each kind, and requests that are refused in their names."""

    def __init__(self, service: RunningService) -> None:
        self._service = service
        self._host = urlsplit(service.url).netloc
        self._key, self._forger = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        public = ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        by_key: dict[str, Any] = {"method": "private_key_jwt", "jwks": [{**public, "kid": "1"}]}
        redirects: dict[str, Any] = {"redirect_uris": ["https://client.example/cb"]}
        people: dict[str, Any] = {"grant_types": ["authorization_code"], "redirects": redirects}
        self._register("t-secret")
        self._register("t-off", enabled=False)
        self._register("t-public", client_type="public", **people)
        self._register("t-keyed", authentication=by_key)
        self._register("t-key-off", authentication=by_key, enabled=False)

    def by_secret(self) -> Mapping[str, bytes]:
        """Requests with a wrong secret."""
        return {
            _UNKNOWN: self._with_secret("t-nobody"),
            "wrong secret": self._with_secret("t-secret"),
            "disabled client": self._with_secret("t-off"),
            "public client": self._with_secret("t-public"),
            "client with a key": self._with_secret("t-keyed"),
            _AGAIN: self._with_secret("t-nobodx"),
        }

    def by_assertion(self) -> Mapping[str, bytes]:
        """Requests with an assertion that another key signed."""
        return {
            _UNKNOWN: self._with_assertion("t-nobody"),
            "client with a secret": self._with_assertion("t-secret"),
            "public client": self._with_assertion("t-public"),
            "client with a key": self._with_assertion("t-keyed"),
            "its kid named": self._with_assertion("t-keyed", kid="1"),
            "another kid named": self._with_assertion("t-keyed", kid="2"),
            "disabled, with a key": self._with_assertion("t-key-off"),
            _AGAIN: self._with_assertion("t-nobodx"),
        }

    def _register(self, client_id: str, *, enabled: bool = True, **facts: Any) -> None:
        url, headers = f"{self._service.url}/admin/clients", administrator(self._service)
        configuration = {"client_id": client_id, "scopes": ["mcp"], **facts}
        made = httpx.post(url, headers=headers, json=configuration)
        assert made.status_code == 201, made.text
        if not enabled:
            httpx.patch(f"{url}/{client_id}", headers=headers, json={"enabled": False})

    def _with_secret(self, client_id: str) -> bytes:
        return self._request({}, f"Authorization: {basic(client_id, 'wrong' * 8)}\r\n")

    def _with_assertion(self, client_id: str, **header: str) -> bytes:
        now = int(time.time())
        claims = {"iss": client_id, "sub": client_id, "aud": self._service.url, "exp": now + 240}
        facts = {**claims, "jti": uuid4().hex}
        assertion = jwt.encode(facts, self._forger, algorithm="ES256", headers=header)
        return self._request({"client_assertion": assertion, "client_assertion_type": _ASSERTION})

    def _request(self, form: Mapping[str, str], header: str = "") -> bytes:
        body = urlencode({"grant_type": "client_credentials", **form})
        return (
            f"POST {TOKEN} HTTP/1.1\r\nHost: {self._host}\r\n{header}"
            "Content-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()


def _sampled(url: str, requests: Mapping[str, bytes], rounds: int) -> dict[str, list[float]]:
    """Return microseconds by kind: each is asked once a round, in random order."""
    parts = urlsplit(url)
    samples: dict[str, list[float]] = {kind: [] for kind in requests}
    kinds, order = list(requests), random.Random(1)
    with socket.create_connection((parts.hostname or "", parts.port or 80)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(WARM_UP + rounds):
            order.shuffle(kinds)
            for kind in kinds:
                took = _asked(connection, requests[kind])
                if number >= WARM_UP:
                    samples[kind].append(took)
    return samples


def _asked(connection: socket.socket, request: bytes) -> float:
    """Return the microseconds until the refusal was there."""
    began = time.perf_counter_ns()
    connection.sendall(request)
    answer = connection.recv(65_536)
    took = (time.perf_counter_ns() - began) / 1000
    head, _, body = answer.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length:")
    )
    while len(body) < length:
        body += connection.recv(65_536)
    assert b'"invalid_client"' in body, answer
    return took


def _reported(group: str, samples: Mapping[str, list[float]]) -> bool:
    """Print the table of a group; tell whether a kind can be told from the unknown client."""
    count = len(samples[_UNKNOWN])
    print(f"\nRefused by {group}, {count} rounds; microseconds more than an unknown client takes\n")
    print(f"{'':<26}{'median':>9}{'95% interval':>20}{'fastest tenth':>15}{'longer':>9}")
    told = False
    for kind, taken in samples.items():
        if kind != _UNKNOWN:
            found = difference(taken, samples[_UNKNOWN])
            print(_line(kind, found))
            told |= found.can_be_told(TOLERANCE)
    return told


def _line(kind: str, found: Difference) -> str:
    interval = f"{found.low:+.1f} .. {found.high:+.1f}"
    mark = "  CAN BE TOLD" if found.can_be_told(TOLERANCE) else ""
    return (
        f"{kind:<26}{found.median:>+9.1f}{interval:>20}{found.fastest_tenth:>+15.1f}"
        f"{found.longer_share:>9.3f}{mark}"
    )


if __name__ == "__main__":
    sys.exit(main())
