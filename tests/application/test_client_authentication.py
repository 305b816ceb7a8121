"""Client authentication: who gets in, and that whoever does not learns nothing from it."""

from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus

import pytest

from application.client_authentication import (
    AuthenticatedClient,
    PresentedCredentials,
    authenticate,
)
from application.errors import InvalidClient
from application.secret_keys import Peppers, PresentedSecret, SecretKey
from domain.client import Client
from domain.client_configuration import ClientType
from tests.application.fakes import MemoryDirectory, MemoryLog
from tests.application.service import OLD_PEPPER, PEPPER
from tests.builders import AT_NOON, NOON, a_client, later

OVERLAP = timedelta(minutes=60)
ROTATED_MINUTE = 10
OVERLAP_ENDS = ROTATED_MINUTE + 60
WITHDRAWN_PEPPER = SecretKey("pepper-withdrawn", b"w" * 32)


class CountedSecret(PresentedSecret):
    """A presented secret that counts how often it was hashed."""

    def __init__(self, value: str) -> None:
        super().__init__(value)
        self.computed = 0

    def verifier(self, pepper: bytes) -> str:
        self.computed += 1
        return super().verifier(pepper)


def a_client_with(
    client_id: str, secret: str, *, secret_id: str = "secret-1", pepper: SecretKey = PEPPER
) -> Client:
    """Return a confidential client with one secret, hashed under `pepper`."""
    client = a_client(client_id=client_id)
    client.add_secret(
        secret_id=secret_id,
        pepper_id=pepper.key_id,
        verifier=PresentedSecret(secret).verifier(pepper.value),
        provenance=AT_NOON,
    )
    return client


def rotated() -> Client:
    """Return a client whose secret "old" runs out an hour after it was replaced by "new"."""
    client = a_client_with("rotated", "old")
    client.rotate_secret(
        secret_id="secret-2",
        pepper_id=PEPPER.key_id,
        verifier=PresentedSecret("new").verifier(PEPPER.value),
        overlap=OVERLAP,
        provenance=later(ROTATED_MINUTE),
    )
    return client


def disabled() -> Client:
    """Return a client with a good secret that is disabled."""
    client = a_client_with("disabled", "right")
    client.disable(AT_NOON)
    return client


@pytest.fixture
def directory() -> MemoryDirectory:
    """A directory with a client for each case."""
    log = MemoryLog()
    log.record(a_client_with("reporter", "right"))
    log.record(rotated())
    log.record(disabled())
    log.record(a_client_with("veteran", "right", pepper=OLD_PEPPER))
    log.record(a_client_with("stranded", "right", pepper=WITHDRAWN_PEPPER))
    log.record(a_client(client_id="without-secrets"))
    log.record(a_client(client_id="public", client_type=ClientType.PUBLIC, grant_types=()))
    return MemoryDirectory(log)


def attempt(
    directory: MemoryDirectory, client_id: str, secret: PresentedSecret | None, minute: float = 0
) -> AuthenticatedClient:
    """Authenticate `minute` minutes after noon."""
    return authenticate(
        PresentedCredentials(client_id, secret, "client_secret_post"),
        directory=directory,
        peppers=Peppers([PEPPER, OLD_PEPPER]),
        now=NOON + timedelta(minutes=minute),
    )


@dataclass(frozen=True)
class Case:
    """An attempt, and the secret that lets it in or the reason that the record gets."""

    description: str
    client_id: str
    secret: str | None
    outcome: str
    minute: float = 0


ADMITTED = (
    Case("the only secret", "reporter", "right", "secret-1"),
    Case("the new secret at once", "rotated", "new", "secret-2", ROTATED_MINUTE),
    Case("the old secret to the end of the overlap", "rotated", "old", "secret-1", 69.999),
    Case("the new secret after the overlap", "rotated", "new", "secret-2", OVERLAP_ENDS),
    Case("a secret under the pepper before the current", "veteran", "right", "secret-1"),
    Case("a public client by its name alone", "public", None, ""),
)
REFUSED = (
    Case("unknown client", "nobody", "right", "unknown client"),
    Case("unknown client without a secret", "nobody", None, "unknown client"),
    Case("wrong secret", "reporter", "wrong", "wrong secret"),
    Case("another client's secret", "reporter", "new", "wrong secret"),
    Case("empty secret", "reporter", "", "wrong secret"),
    Case("no secret", "reporter", None, "no secret presented"),
    Case("secret past the overlap", "rotated", "old", "retired secret", OVERLAP_ENDS),
    Case("wrong secret past the overlap", "rotated", "wrong", "wrong secret", OVERLAP_ENDS),
    Case("client that has no secret yet", "without-secrets", "right", "no usable secret"),
    Case("secret under a pepper that was taken away", "stranded", "right", "wrong secret"),
    Case("public client with a secret", "public", "right", "a public client presented a secret"),
    Case("disabled client", "disabled", "right", "client disabled"),
    Case("disabled client, wrong secret", "disabled", "wrong", "wrong secret"),
)


def description_of(case: Case) -> str:
    """Return the name of a row in the report."""
    return case.description


@pytest.mark.parametrize("case", ADMITTED, ids=description_of)
def test_admits(directory: MemoryDirectory, case: Case) -> None:
    """A client that proves itself is returned with the method and the secret that proved it."""
    secret = None if case.secret is None else PresentedSecret(case.secret)

    found = attempt(directory, case.client_id, secret, case.minute)

    assert found.client.client_id == case.client_id
    assert (found.method, found.credential_id) == ("client_secret_post", case.outcome)


@pytest.mark.parametrize("case", REFUSED, ids=description_of)
def test_refuses(directory: MemoryDirectory, case: Case) -> None:
    """Every cause has one public text and status; only the reason, for the record, is its own."""
    secret = None if case.secret is None else PresentedSecret(case.secret)
    with pytest.raises(InvalidClient) as refusal:
        attempt(directory, case.client_id, secret, case.minute)

    error = refusal.value
    assert error.reason == case.outcome
    assert str(error) == error.description == "client authentication failed"
    assert (error.code, error.status) == ("invalid_client", HTTPStatus.UNAUTHORIZED)


def test_refuses_a_request_without_credentials(directory: MemoryDirectory) -> None:
    """A request that names no client at all reads the same text as a wrong secret."""
    with pytest.raises(InvalidClient, match=r"^client authentication failed$") as refusal:
        authenticate(None, directory=directory, peppers=Peppers([PEPPER]), now=NOON)

    assert refusal.value.reason == "no client authentication"


@pytest.mark.parametrize(
    "case", [case for case in REFUSED if case.secret is not None], ids=description_of
)
def test_always_hashes_what_was_presented(directory: MemoryDirectory, case: Case) -> None:
    """Whatever the cause, a presented secret is hashed at least once before the refusal, so that
    the time does not tell whether the client exists.
    """
    secret = CountedSecret(case.secret or "")
    with pytest.raises(InvalidClient):
        attempt(directory, case.client_id, secret, case.minute)

    assert secret.computed >= 1


@pytest.mark.parametrize("value", ["old", "new"])
def test_compares_with_every_usable_secret(directory: MemoryDirectory, value: str) -> None:
    """In an overlap both secrets are compared, whichever fits: the time does not tell which."""
    secret = CountedSecret(value)

    attempt(directory, "rotated", secret, ROTATED_MINUTE)

    assert secret.computed == 2
