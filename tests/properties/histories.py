"""Random histories of a deployment, decided by the domain and recorded in a real log."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta

from domain.access_token import AccessToken
from domain.client import Client
from domain.client_configuration import TOKEN_EXCHANGE
from domain.descent import Actor, Descent
from domain.errors import DomainError
from domain.principal import Principal
from domain.provenance import Origin, Provenance
from domain.recorded import Recorded
from domain.refresh_token_family import FamilyTerms, IssuedToken, RefreshTokenFamily
from domain.signing_key import SigningKey
from tests.builders import CATALOGUE, PUBLIC_JWK, a_client, stream_id
from tests.projections.recording import Recording, token_now

ACTS = (
    *("register", "scopes", "disable", "enable", "secret", "rotate_secret", "owner"),
    *("person", "roles", "deactivate", "reactivate", "key", "activate", "retire"),
    *("issue", "issue", "exchange", "revoke", "start", "rotate", "retry", "reuse", "end"),
)
_CIRCUMSTANCES = frozenset(
    {"originator_id", "originator_version", "originator_topic", "timestamp", "request_id"}
) | {"traceparent"}
SCOPES = (("service",), ("mcp", "service"), ("mcp",), ())


class History:
    """What was decided so far, by the names of one example; `which` points at a thing of a kind.

    An act that the domain refuses, or that has nothing to work on, records nothing.
    """

    def __init__(self, log: Recording, number: int) -> None:
        self.log = log
        self.number = number
        self.clients: dict[int, Client] = {}
        self.people: dict[int, Principal] = {}
        self.keys: list[SigningKey] = []
        self.tokens: list[AccessToken] = []
        self.families: list[RefreshTokenFamily] = []

    def act(self, name: str, which: int, choice: int) -> None:
        """Do it, and record it as one unit."""
        try:
            decided: Sequence[Recorded] = getattr(self, f"_{name}")(which, choice)
        except (DomainError, LookupError):
            return
        if any(one.pending_events for one in decided):
            self.log.record(*decided)

    def _register(self, which: int, choice: int) -> list[Recorded]:
        if which in self.clients:
            return []
        client = _client(f"c-{self.number}-{which}", SCOPES[choice], self._subject(which))
        self.clients[which] = client
        return [client]

    def _scopes(self, which: int, choice: int) -> list[Recorded]:
        client = self.clients[which]
        client.set_scopes(SCOPES[choice], catalogue=CATALOGUE, provenance=_now())
        return [client]

    def _disable(self, which: int, _: int) -> list[Recorded]:
        self.clients[which].disable(_now())
        return [self.clients[which]]

    def _enable(self, which: int, _: int) -> list[Recorded]:
        self.clients[which].enable(_now())
        return [self.clients[which]]

    def _secret(self, which: int, _: int) -> list[Recorded]:
        client = self.clients[which]
        client.add_secret(**_secret(client), provenance=_now())
        return [client]

    def _rotate_secret(self, which: int, choice: int) -> list[Recorded]:
        client = self.clients[which]
        overlap = timedelta(hours=choice)
        client.rotate_secret(**_secret(client), overlap=overlap, provenance=_now())
        return [client]

    def _owner(self, which: int, choice: int) -> list[Recorded]:
        client = self.clients[which]
        client.set_owner(self._subject(choice % 2) if choice else None, provenance=_now())
        return [client]

    def _person(self, which: int, choice: int) -> list[Recorded]:
        if which in self.people:
            return []
        roles = (("user",), ("admin",), ("user", "admin"), ())[choice]
        self.people[which] = Principal.register(
            self._subject(which), roles, catalogue=CATALOGUE, provenance=_now()
        )
        return [self.people[which]]

    def _roles(self, which: int, choice: int) -> list[Recorded]:
        roles = (("user",), ("admin",), ("user", "admin"), ())[choice]
        self.people[which].assign_roles(roles, catalogue=CATALOGUE, provenance=_now())
        return [self.people[which]]

    def _deactivate(self, which: int, _: int) -> list[Recorded]:
        self.people[which].deactivate(_now())
        return [self.people[which]]

    def _reactivate(self, which: int, _: int) -> list[Recorded]:
        self.people[which].reactivate(_now())
        return [self.people[which]]

    def _key(self, _: int, __: int) -> list[Recorded]:
        kid = f"k-{self.number}-{len(self.keys)}"
        self.keys.append(
            SigningKey.generate(
                kid=kid, algorithm="ES256", public_jwk=PUBLIC_JWK, provenance=_now()
            )
        )
        return [self.keys[-1]]

    def _activate(self, which: int, _: int) -> list[Recorded]:
        self.keys[which].activate(_now())
        return [self.keys[which]]

    def _retire(self, which: int, _: int) -> list[Recorded]:
        until = datetime.now(UTC) + timedelta(hours=1)
        self.keys[which].retire(verify_until=until, provenance=_now())
        return [self.keys[which]]

    def _issue(self, which: int, choice: int) -> list[Recorded]:
        # Every fourth has expired when it is recorded.
        at = datetime.now(UTC) - timedelta(hours=2 if choice == 3 else 0)
        self.tokens.append(token_now(self.clients[which], at=at))
        return [self.tokens[-1]]

    def _exchange(self, which: int, choice: int) -> list[Recorded]:
        self.tokens.append(_exchanged(self.tokens[-1 - choice], self.clients[which]))
        return [self.tokens[-1]]

    def _revoke(self, which: int, choice: int) -> list[Recorded]:
        token = self.tokens[choice]
        token.revoke(by="admin", reason="lost", provenance=_now(), descendants=bool(which))
        return [token]

    def _start(self, which: int, choice: int) -> list[Recorded]:
        token = token_now(self.clients[which])
        lifetime = 0 if choice == 3 else 86_400
        self.tokens.append(token)
        self.families.append(_family(token, self._subject(which), lifetime))
        return [token, self.families[-1]]

    def _rotate(self, which: int, _: int) -> list[Recorded]:
        family = self.families[which]
        family.rotate(pepper_id="p", token=_issued("next"), provenance=_now())
        return [family]

    def _retry(self, which: int, _: int) -> list[Recorded]:
        self.families[which].retry(token=_issued("again"), provenance=_now())
        return [self.families[which]]

    def _reuse(self, which: int, _: int) -> list[Recorded]:
        family = self.families[which]
        family.detect_reuse(0, origin=Origin("address", "agent"), provenance=_now())
        return [family]

    def _end(self, which: int, _: int) -> list[Recorded]:
        self.families[which].revoke(by="admin", reason="left", provenance=_now())
        return [self.families[which]]

    def _subject(self, which: int) -> str:
        return f"p-{self.number}-{which}"


def _now() -> Provenance:
    return Provenance(datetime.now(UTC), "req_1", by="operator", why="because")


def _client(client_id: str, scopes: tuple[str, ...], owner: str) -> Client:
    return a_client(client_id=client_id, scopes=scopes or ("service",), owner=owner)


def _secret(client: Client) -> dict[str, str]:
    number = len(client.secrets) + 1
    return {"secret_id": f"secret-{number}", "pepper_id": "p", "verifier": "v"}


def _issued(jti: str) -> IssuedToken:
    return IssuedToken(jti, datetime.now(UTC) + timedelta(hours=1))


def _family(token: AccessToken, subject: str, lifetime: int) -> RefreshTokenFamily:
    now = datetime.now(UTC)
    terms = FamilyTerms(
        client_id=token.issued.client_id,
        subject=subject,
        session_id="sess_1",
        scope=("user",),
        audience=(),
        authenticated_at=now,
        lifetime=lifetime,
        idle_lifetime=86_400,
        grace=10,
    )
    first = IssuedToken(str(token.id), token.issued.expires_at)
    return RefreshTokenFamily.start(
        stream_id(now), terms, pepper_id="p", token=first, provenance=_now()
    )


def _exchanged(parent: AccessToken, client: Client) -> AccessToken:
    """Return a token that `client` exchanged `parent` for, whether or not it might."""
    same = {
        one.name: getattr(parent.issued, one.name)
        for one in fields(AccessToken.Issued)
        if one.name not in _CIRCUMSTANCES
    }
    held = parent.issued.scope
    descent = Descent(
        lineage=(*parent.lineage, str(parent.id)),
        actors=(Actor(client.client_id), *parent.actors),
        of_subject=held,
        of_client=held,
        of_person=None,
        withheld=(),
    )
    changed = {"client_id": client.client_id, "grant_type": TOKEN_EXCHANGE, "descent": descent}
    now = _now()
    begun = AccessToken._begin  # as recorded; what may be exchanged is not at stake
    return begun(AccessToken.Issued, stream_id(now.occurred_at), now, **{**same, **changed})
