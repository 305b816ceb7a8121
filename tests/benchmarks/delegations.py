"""A tree of delegations, and how long it takes to cut it: counted and timed, not estimated.

`python -m tests.benchmarks.delegations` grows a tree of 10,000 descendants, five deep, below one
token; revokes that one with its descendants; and asks about every one of them by introspection.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import httpx

from domain.client_configuration import TOKEN_EXCHANGE
from tests.benchmarks.connection import Answer, Connection
from tests.benchmarks.families import TOKEN, administrator, machine_token
from tests.benchmarks.load import Target
from tests.benchmarks.service import Reachable, RunningService, basic, running_service
from tests.waiting import eventually

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
AGENT = "bench-agent"
DEPTH = 5
AT_ONCE = 64


class Delegations:
    """A client that exchanges tokens of the demo client, and its own again."""

    def __init__(self, service: Reachable) -> None:
        self.service = service
        configuration = {
            "client_id": AGENT,
            "grant_types": [TOKEN_EXCHANGE],
            "scopes": ["user", "service", "mcp"],
            "audiences": {"serves": [service.url]},
        }
        registered = httpx.post(
            f"{service.url}/admin/clients", headers=administrator(service), json=configuration
        )
        assert registered.status_code == 201, registered.text
        self.auth = (AGENT, str(registered.json()["client_secret"]))
        eventually(lambda: all(self._known() for _ in range(12)))

    def _known(self) -> bool:
        # A connection of its own: one that is kept stays with its worker.
        answered = httpx.post(
            f"{self.service.url}{TOKEN}", auth=self.auth, data={"grant_type": "none"}
        )
        return answered.status_code == 400

    def request(self) -> Target:
        """Return the request that exchanges one token of the demo client."""
        form = httpx.QueryParams(exchanging(machine_token(self.service, "demo")))
        return Target(f"{self.service.url}{TOKEN}", basic(*self.auth), str(form))


def exchanging(subject_token: str) -> dict[str, str]:
    """Return the form that exchanges a token."""
    return {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token": subject_token,
        "subject_token_type": ACCESS_TOKEN,
    }


@dataclass
class Tree:
    """The tokens that hang on one, by how deep."""

    root: str
    levels: list[list[str]]

    @property
    def descendants(self) -> list[str]:
        """Every token but the root."""
        return [token for level in self.levels for token in level]


class Asking:
    """One client on some connections at once."""

    def __init__(self, url: str, auth: tuple[str, str]) -> None:
        self._connections = [Connection(url) for _ in range(AT_ONCE)]
        self._credentials = {"client_id": auth[0], "client_secret": auth[1]}

    async def all(self, path: str, forms: Sequence[dict[str, str]]) -> list[Answer]:
        """Send all forms and return the answers in their order. Raises Cut."""
        answers: list[Answer] = [(0, {})] * len(forms)
        left = iter(enumerate(forms))

        async def send(connection: Connection) -> None:
            for number, form in left:
                answers[number] = await connection.post(path, {**self._credentials, **form})

        await asyncio.gather(*map(send, self._connections))
        return answers

    def close(self) -> None:
        """Hang up."""
        for connection in self._connections:
            connection.close()


async def _grown(asking: Asking, root: str, size: int) -> Tree:
    tree, above = Tree(root, []), [root]
    for depth in range(1, DEPTH + 1):
        wanted = size // DEPTH + (depth <= size % DEPTH)
        forms = [exchanging(above[number % len(above)]) for number in range(wanted)]
        above = [answer["access_token"] for _, answer in await asking.all(TOKEN, forms)]
        tree.levels.append(above)
        print(f"level {depth}: {len(above):,} tokens", file=sys.stderr, flush=True)
    return tree


async def measure(service: RunningService, size: int) -> dict[str, Any]:
    """Grow a tree of `size` descendants, cut it, and ask about each."""
    root, demo = machine_token(service, "demo"), service.credentials("demo")
    asking = Asking(service.url, Delegations(service).auth)
    owner = Asking(service.url, (demo["client_id"], demo["client_secret"]))
    began = monotonic()
    tree = await _grown(asking, root, size)
    grown = monotonic()
    forms = [{"token": token} for token in tree.descendants]
    before = await asking.all("/oauth/introspect", forms)
    asked = monotonic()
    ((cut, _),) = await owner.all("/oauth/revoke", [{"token": root, "include_descendants": "true"}])
    done = monotonic()
    after = await asking.all("/oauth/introspect", forms)
    ((_, refused),) = await asking.all(TOKEN, [exchanging(tree.levels[0][0])])
    asking.close()
    owner.close()
    return {
        "descendants": len(forms),
        "depth": DEPTH,
        "seconds to grow": round(grown - began, 2),
        "active before": sum(answer["active"] for _, answer in before),
        "introspections a second": round(len(forms) / (asked - grown)),
        "status of the cut": cut,
        "milliseconds to cut": round((done - asked) * 1e3, 1),
        "active after": sum(answer["active"] for _, answer in after),
        "exchange after": refused["error"],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure once and print it; 1 where a descendant survived."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.delegations",
        description="Grow a tree of exchanged tokens, cut it at the root, ask about each of them",
    )
    parser.add_argument("--size", type=int, default=10_000, help="descendants")
    parser.add_argument("--workers", type=int, default=2, help="API processes")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="grantledger-delegations-") as folder:
        Path(folder).chmod(0o755)
        with running_service(Path(folder), workers=options.workers) as service:
            found = asyncio.run(measure(service, options.size))
    for name, value in found.items():
        print(f"{name:<26}{value}")
    return 0 if found["active before"] == options.size and found["active after"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
