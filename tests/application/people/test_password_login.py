"""Login by name and password: who is let in, and what is counted before anything is hashed."""

from dataclasses import dataclass, field

import pytest

from application.errors import TooManyRequests
from application.people.credentials import Credentials
from application.people.login import LoginRefused, password_login
from application.people.passwords import Passwords, PresentedPassword
from application.people.throttle import LoginThrottle
from application.people.upstream import upstream_login_name
from application.rate_limits import RateLimits
from application.request_context import RequestContext
from domain.provenance import Provenance
from tests.application.fakes import MemoryDirectory, MemoryLog
from tests.application.service import ORIGIN, FakeService
from tests.builders import NOON, a_principal

PASSWORD = "correct horse battery staple"
NETWORK = "203.0.113.7"


@dataclass
class Parts:
    """What the use case works with: `compared` counts what was hashed."""

    credentials: Credentials
    passwords: Passwords
    throttle: LoginThrottle
    directory: MemoryDirectory
    rate_limits: RateLimits
    compared: list[str | None] = field(default_factory=list)

    async def log_in(self, login: str, password: str = PASSWORD, *, browser: str = "laptop") -> str:
        """Log in from one network."""
        context = RequestContext(Provenance(NOON, "req_1"), ORIGIN, network=NETWORK)
        proof = await password_login(
            login, PresentedPassword(password), browser=browser, context=context, service=self
        )
        return proof.subject


@pytest.fixture
async def parts(
    credentials: Credentials,
    passwords: Passwords,
    throttle: LoginThrottle,
    monkeypatch: pytest.MonkeyPatch,
) -> Parts:
    """Alice with a login name, a password, and an identity at the upstream provider."""
    log = MemoryLog()
    log.record(a_principal("alice"))
    await credentials.add_login("alice@example.com", subject="alice")
    await credentials.add_login(upstream_login_name("https://id.example", "7"), subject="alice")
    await passwords.set("alice", PresentedPassword(PASSWORD), now=NOON)
    service = FakeService()
    service.limit(rate_limit_login_per_address="3/hour")
    made = Parts(credentials, passwords, throttle, MemoryDirectory(log), service.rate_limits)
    verify = passwords.verify

    async def counted(subject: str | None, password: PresentedPassword) -> bool:
        made.compared.append(subject)
        return await verify(subject, password)

    monkeypatch.setattr(passwords, "verify", counted)
    return made


async def test_a_password_logs_in(parts: Parts) -> None:
    """By the name of the person, however it is typed, and by no other password."""
    assert await parts.log_in(" ALICE@example.com") == "alice"
    with pytest.raises(LoginRefused, match="wrong password"):
        await parts.log_in("alice@example.com", "another password")


async def test_the_key_of_an_upstream_identity_is_no_name_to_log_in_with(parts: Parts) -> None:
    """It would be another account to guess at the same password with."""
    with pytest.raises(LoginRefused, match="unknown login name"):
        await parts.log_in(upstream_login_name("https://id.example", "7"))


async def test_the_rate_limit_comes_before_the_hash(parts: Parts) -> None:
    """Past the limit of the network nothing is compared, for whatever name; a browser that is known
    to log this person in goes on.
    """
    await parts.log_in("alice@example.com")
    for number in range(2):
        with pytest.raises(LoginRefused):
            await parts.log_in(f"account-{number}", browser="new")
    before = len(parts.compared)
    for login in ("alice@example.com", "account-3"):
        with pytest.raises(TooManyRequests):
            await parts.log_in(login, browser="new")

    assert len(parts.compared) == before
    assert await parts.log_in("alice@example.com") == "alice"
