"""The refresh grant against a model: clients, lost answers, clock steps and crashes in any order.

The real use case runs on a log in memory that can fail before and after it records. The model knows
the state table and nothing of the code.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from application.derived_tokens import TokenKind
from application.ending import end_family
from application.errors import UnusableGrant
from application.grants import refresh_token
from application.grants.refresh_token import Parameters
from application.key_material import generate_private_key
from application.ledger.errors import LedgerUnavailable
from domain.access_token import AccessToken
from domain.client import Client
from domain.client_configuration import Redirects
from domain.issuing_client import Authority
from domain.provenance import Provenance
from domain.refresh_token_family import RefreshTokenFamily
from tests.application.fakes import Fault
from tests.application.service import FakeService, authenticated, context, token_keys
from tests.builders import NOON, SIGNING, a_client, a_principal, a_request, stream_id

GRACE, IDLE, LIFETIME = 10, 7 * 86_400, 30 * 86_400
ON_ITS_WAY = 10
SCOPES = ("user", "anonymous")
_KEYS = {"ES256": generate_private_key("ES256")}


@dataclass
class Model:
    """What the family should be: the state table in the words of the protocol."""

    began: datetime
    current: int = 1
    rotated_at: datetime = NOON
    retired: dict[int, datetime] = field(default_factory=dict)
    revoked: bool = False
    strings: dict[int, str] = field(default_factory=dict)

    def expected(self, generation: int, now: datetime) -> str:
        """Return what presenting `generation` at `now` should lead to."""
        idle_end = self.rotated_at + timedelta(seconds=IDLE)
        if self.revoked or now >= min(idle_end, self.began + timedelta(seconds=LIFETIME)):
            return "refuse"
        if generation == self.current:
            return "rotate"
        recent = now - self.rotated_at <= timedelta(seconds=GRACE)
        if generation == self.current - 1 and recent:
            return "retry"
        ahead = self.retired[generation] - now
        return "refuse" if timedelta(0) < ahead <= timedelta(seconds=ON_ITS_WAY) else "reuse"

    def rotated(self, now: datetime) -> None:
        """Make the next generation current."""
        self.retired[self.current] = now
        self.current += 1
        self.rotated_at = now


class Families(RuleBasedStateMachine):
    """Drives one family; `held` is what each of three parallel clients holds."""

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.service = FakeService(keys=token_keys(_KEYS, "ES256"))
        facts = {
            "grant_types": ("authorization_code", "refresh_token"),
            "scopes": SCOPES,
            "redirects": Redirects(redirect_uris=("https://client.example/callback",)),
        }
        client, other = a_client(**facts), a_client(client_id="other", **facts)
        self.service.log.record(client, other, a_principal("alice", roles=("user", "anonymous")))
        self.client = authenticated(self.service.log.folded(Client.stream("reporter")))
        self.other = authenticated(self.service.log.folded(Client.stream("other")))
        self.now = NOON
        self.family_id = stream_id(NOON)
        self._start_family(self.client.client)
        self.model = Model(began=NOON)
        self.model.strings[1] = self._string(1)
        self.held = [1, 1, 1]

    def _start_family(self, client: Client) -> None:
        authority = Authority(SCOPES, SCOPES, (), NOON)
        provenance = Provenance(NOON, "req_1")
        token = client.issue_token_for_person(
            a_request(token_id=stream_id(NOON)),
            authority,
            grant_type="authorization_code",
            person=a_principal("alice", roles=("user", "anonymous")),
            family_id=self.family_id,
            policy=self.service.policy,
            signing=SIGNING,
            provenance=provenance,
        )
        family = client.start_family(
            self.family_id,
            authority,
            token,
            pepper_id=self.service.derived.pepper_id,
            policy=self.service.policy,
            provenance=provenance,
        )
        self.service.log.record(token, family)

    def _string(self, generation: int) -> str:
        derive = self.service.derived.derive
        return derive(TokenKind.REFRESH, self.family_id, generation=generation)

    def _present(self, generation: int, *, by: Any = None, scope: Any = None) -> Any:
        parameters = Parameters(self._string(generation), scope, ())
        handling = refresh_token.handle(
            parameters, by or self.client, context(self.now), self.service
        )
        return self.loop.run_until_complete(handling)

    def _use(self, generation: int, **wishes: Any) -> str | None:
        """Present a generation, hold the answer against the model, and return its successor."""
        expected = self.model.expected(generation, self.now)
        try:
            response = self._present(generation, **wishes)
        except UnusableGrant:
            assert expected in ("refuse", "reuse")
            self.model.revoked |= expected == "reuse"
            return None
        assert expected in ("rotate", "retry")
        if expected == "rotate":
            self.model.rotated(self.now)
            self.model.strings[self.model.current] = response.refresh_token
        # The identical successor, whoever retries and however often.
        assert response.refresh_token == self.model.strings[self.model.current]
        return str(response.refresh_token)

    @rule(who=st.integers(0, 2), narrow=st.booleans())
    def refresh(self, who: int, narrow: bool) -> None:
        """A client refreshes with what it holds, and gets the answer."""
        successor = self._use(self.held[who], scope=("anonymous",) if narrow else None)
        if successor is not None:
            self.held[who] = self.model.current

    @rule(who=st.integers(0, 2))
    def lose_the_answer(self, who: int) -> None:
        """A client refreshes, and the answer never comes: it holds what it held."""
        self._use(self.held[who])

    @rule(who=st.integers(0, 2), fault=st.sampled_from(Fault))
    def crash(self, who: int, fault: Fault) -> None:
        """The service dies before or after it recorded; the client knows neither."""
        expected = self.model.expected(self.held[who], self.now)
        self.service.log.save_faults.append(fault)
        try:
            self._present(self.held[who])
        except LedgerUnavailable:
            if fault is Fault.IN_DOUBT and expected == "rotate":
                self.model.rotated(self.now)
                self.model.strings[self.model.current] = self._string(self.model.current)
            self.model.revoked |= fault is Fault.IN_DOUBT and expected == "reuse"
        except UnusableGrant:
            assert expected == "refuse"
            self.service.log.save_faults.clear()

    @rule(data=st.data())
    def steal(self, data: st.DataObject) -> None:
        """A thief presents any generation there ever was."""
        self._use(data.draw(st.integers(1, self.model.current)))

    @rule(generation=st.integers(1, 3))
    def somebody_else(self, generation: int) -> None:
        """Another client that holds a copy gets nothing and moves nothing."""
        before = len(self.service.log.events)
        try:
            self._present(generation, by=self.other)
        except UnusableGrant:
            assert len(self.service.log.events) == before
        else:
            raise AssertionError("another client was given tokens")

    @rule(
        seconds=st.sampled_from(
            [0.5, 3, GRACE, GRACE + 1, 3600, IDLE + 1, LIFETIME, -0.5, -5, -11, -3600]
        )
    )
    def step_the_clock(self, seconds: float) -> None:
        """Time goes on, or the clock is set, backwards too."""
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.model.current > 4)
    @rule()
    def revoke(self) -> None:
        """Somebody ends the family."""
        ending = end_family(
            self.family_id,
            self.service,
            by="operator-1",
            reason="test",
            provenance=Provenance(self.now, "req_9"),
        )
        assert self.loop.run_until_complete(ending)
        self.model.revoked = True

    @invariant()
    def the_family_is_as_the_model_says(self) -> None:
        """One head, no generation made twice; when it ended, none of its tokens lives."""
        family: RefreshTokenFamily = self.service.log.folded(self.family_id)
        made = [
            event.generation
            for event in self.service.log.events
            if isinstance(event, RefreshTokenFamily.Started | RefreshTokenFamily.Rotated)
        ]

        assert made == list(range(1, self.model.current + 1))
        assert (family.generation, family.revoked) == (self.model.current, self.model.revoked)
        if family.revoked:
            tokens = self.service.log.all_of(AccessToken)
            alive = {token.jti for token in family.tokens}
            ended_at = family.modified_on
            assert not [
                token
                for token in tokens
                if str(token.id) in alive
                and not token.revoked
                and ended_at < token.issued.expires_at
            ]

    def teardown(self) -> None:
        self.loop.close()


Families.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestFamilies = Families.TestCase
