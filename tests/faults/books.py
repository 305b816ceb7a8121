"""What all clients were told: the tokens they hold, and every answer that was wrong."""

from collections import Counter, deque
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import jwt

from tests.benchmarks.connection import Response

_EXAMPLES = 20
_RECENT = 300


@dataclass(frozen=True, slots=True)
class Held:
    """An access token that a client was handed, and the era in which it was."""

    token: str = field(repr=False)
    claims: dict[str, Any]
    era: int

    @property
    def jti(self) -> str:
        """The token's id, which is the id of its stream."""
        return str(self.claims["jti"])


@dataclass
class Books:
    """One for all clients. A new `era` begins when the clock is moved: what was handed out before
    may expire at any moment, so that a no about it is not wrong.
    """

    answers: Counter[str] = field(default_factory=Counter)
    held: dict[str, Held] = field(default_factory=dict)
    recent: deque[Held] = field(default_factory=lambda: deque(maxlen=_RECENT))
    """Tokens of machines, which their client may ask about and revoke."""
    kids: set[str] = field(default_factory=set)
    """The keys that signed what was handed out."""
    revoked: set[str] = field(default_factory=set)
    unsettled: set[str] = field(default_factory=set)
    """Tokens that somebody asked to revoke: nobody knows about them until there is an answer."""
    wrong: list[str] = field(default_factory=list)
    succeeded: dict[str, float] = field(default_factory=dict)
    """When each client was last served, by its name."""
    era: int = 0

    def hold(self, token: str, era: int) -> Held:
        """Write down a token that was handed out to a request that began in `era`."""
        claims = jwt.decode(token, options={"verify_signature": False})
        held = Held(token, claims, era)
        self.kids.add(str(jwt.get_unverified_header(token)["kid"]))
        if held.jti in self.held:
            self.complain(f"jti {held.jti} was handed out twice")
        self.held[held.jti] = held
        return held

    def count(self, client: str, response: Response) -> None:
        """Count an answer, and judge one of 503 (RFC 9110, Section 10.2.3)."""
        self.answers[str(response.status)] += 1
        if response.status == 200:
            self.succeeded[client] = monotonic()
        elif response.status == 503:
            seconds = response.headers.get("retry-after", "")
            error = response.body.get("error")
            if not seconds.isdigit() or int(seconds) < 1 or error != "temporarily_unavailable":
                self.complain(f"{client}: a 503 with {error!r}, Retry-After {seconds!r}")

    def cut(self) -> None:
        """Count a connection that ended without an answer."""
        self.answers["cut"] += 1

    def complain(self, what: str) -> None:
        """Write down what must never happen."""
        if len(self.wrong) < _EXAMPLES:
            self.wrong.append(what)

    def settled(self, jti: str) -> bool:
        """Tell whether nobody asked to revoke the token."""
        return jti not in self.unsettled and jti not in self.revoked
