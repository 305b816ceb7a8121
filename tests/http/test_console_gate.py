"""Who passes the gate of the console, by the roles that the settings and the catalogue name."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from api.console.gate import Gate, NoAuditor
from application.administration.console_client import CONSOLE_CLIENT
from application.errors import InvalidToken
from application.token_keys import VerifiedClaims
from domain.client_configuration import Redirects
from domain.issuing_client import Authority
from tests.application.service import FakeService
from tests.builders import AT_NOON, NOON, POLICY, SIGNING, a_client, a_principal, a_request

SCOPES = ("audit:read", "openid")


@dataclass
class _Service(FakeService):
    """A service at which alice is logged in to the console, or a client of that name."""

    console_roles: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    granted: tuple[str, ...] = SCOPES
    client_id: str = CONSOLE_CLIENT
    settings: Any = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.settings = SimpleNamespace(console_roles=self.console_roles, protected_max_age=None)
        self.resource_server = SimpleNamespace(admitted=self._admitted)
        self.credentials = SimpleNamespace(logins_of=self._logins_of)

    async def _admitted(self, _: Any, **__: str) -> VerifiedClaims:
        client = a_client(
            client_id=self.client_id,
            grant_types=("authorization_code",),
            scopes=SCOPES,
            redirects=Redirects(redirect_uris=("https://client.example/callback",)),
        )
        token = client.issue_token_for_person(
            a_request(),
            Authority(self.granted, self.granted, (), NOON),
            grant_type="authorization_code",
            person=a_principal("alice", roles=("auditor",)),
            family_id=None,
            policy=POLICY,
            signing=SIGNING,
            provenance=AT_NOON,
        )
        self.log.record(client, a_principal("alice", roles=self.roles), token)
        return VerifiedClaims({"sub": "alice"}, str(token.id), self.client_id, (), self.granted, 0)

    async def _logins_of(self, _: str) -> list[str]:
        return ["alice@example.com"]


def gate(service: Any) -> Any:
    """Ask the gate about the token."""
    return Gate(service, None).auditor(None, "token")  # type: ignore[arg-type]  # unused here


@pytest.mark.parametrize(
    ("roles", "console_roles"),
    [
        (("auditor",), ()),
        (("audit:read", "user"), ()),
        (("auditor",), ("chief", "auditor")),
        (("audit:read", "user"), ("user",)),
    ],
)
async def test_a_role_that_carries_audit_read(
    roles: tuple[str, ...], console_roles: tuple[str, ...]
) -> None:
    """And one of the settings', where they name any."""
    found = await gate(_Service(roles=roles, console_roles=console_roles))

    assert (found.subject, found.login) == ("alice", "alice@example.com")


@pytest.mark.parametrize(
    ("roles", "console_roles"),
    [
        ((), ()),
        (("admin", "user"), ()),
        (("clients:manage", "reports:read"), ()),
        (("admin",), ("admin",)),
        (("auditor",), ("chief",)),
    ],
)
async def test_any_other_role(roles: tuple[str, ...], console_roles: tuple[str, ...]) -> None:
    """The setting narrows, and gives nothing that the catalogue does not."""
    with pytest.raises(NoAuditor):
        await gate(_Service(roles=roles, console_roles=console_roles))


@pytest.mark.parametrize(
    "facts", [{"client_id": "desk"}, {"granted": ("openid",)}, {"granted": ("audit:read",)}]
)
async def test_another_token_asks_for_a_login(facts: dict[str, Any]) -> None:
    """That of another client, or of before the role."""
    with pytest.raises(InvalidToken):
        await gate(_Service(roles=("auditor",), **facts))
