"""A client's secrets: added, retired with an overlap, never more than a few at a time."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from domain.client import MAX_SECRETS, Client
from domain.client_configuration import Authentication, ClientType
from domain.client_secret import ClientSecret
from domain.errors import InvalidConfiguration
from domain.recorded import fold
from tests.builders import NOON, a_client, later
from tests.domain.given import Fact, events_of, fact, given

HOUR = timedelta(hours=1)
LATER = later(1)
ID = {"client_id": "reporter"}


def added(number: int, *, at: float = 0) -> Callable[[Client], object]:
    """Return the command that adds the secret `number`, `at` minutes after noon."""
    return lambda client: client.add_secret(
        secret_id=f"secret-{number}",
        pepper_id="pepper-1",
        verifier=f"{number:064x}",
        provenance=later(at),
    )


def rotated(number: int, *, overlap: timedelta, at: float = 1) -> Callable[[Client], object]:
    """Return the command that rotates to the secret `number`, `at` minutes after noon."""
    return lambda client: client.rotate_secret(
        secret_id=f"secret-{number}",
        pepper_id="pepper-1",
        verifier=f"{number:064x}",
        overlap=overlap,
        provenance=later(at),
    )


def secret_added(number: int) -> Fact:
    """Return the fact that the secret `number` was added."""
    return fact(
        Client.SecretAdded,
        **ID,
        secret_id=f"secret-{number}",
        pepper_id="pepper-1",
        verifier=f"{number:064x}",
    )


def test_a_secret_is_kept_as_its_verifier() -> None:
    """An added secret is usable at once, and the client knows its verifier and pepper only."""
    client = given(*events_of(a_client())).when(added(1, at=1)).then(secret_added(1), at=LATER)

    assert client.usable_secrets(LATER.occurred_at) == [
        ClientSecret("secret-1", "pepper-1", f"{1:064x}", LATER.occurred_at)
    ]
    assert "0001" not in repr(client.secrets)


def test_rotation_lets_the_old_one_run_out() -> None:
    """A rotation retires the present secret after the overlap and adds the new one."""
    end = LATER.occurred_at + HOUR

    client = (
        given(*events_of(a_client(), added(1)))
        .when(rotated(2, overlap=HOUR))
        .then(
            fact(Client.SecretRetired, **ID, secret_id="secret-1", usable_until=end),
            secret_added(2),
            at=LATER,
        )
    )
    usable = {
        moment: [secret.secret_id for secret in client.usable_secrets(moment)]
        for moment in (end - timedelta(microseconds=1), end)
    }

    assert list(usable.values()) == [["secret-1", "secret-2"], ["secret-2"]]


def test_rotation_without_overlap_ends_the_old_one_now() -> None:
    """A rotation without overlap, after a leak, leaves the new secret only."""
    client = (
        given(*events_of(a_client(), added(1)))
        .when(rotated(2, overlap=timedelta()))
        .then(
            fact(
                Client.SecretRetired,
                **ID,
                secret_id="secret-1",
                usable_until=LATER.occurred_at,
            ),
            secret_added(2),
            at=LATER,
        )
    )

    assert [secret.secret_id for secret in client.usable_secrets(LATER.occurred_at)] == ["secret-2"]


@pytest.mark.parametrize(
    ("overlap", "retired"),
    [
        pytest.param(2 * HOUR, ["secret-2"], id="longer: the first keeps its end"),
        pytest.param(HOUR / 4, ["secret-1", "secret-2"], id="shorter: the first ends sooner"),
    ],
)
def test_an_end_is_brought_forward_and_never_put_off(
    overlap: timedelta, retired: list[str]
) -> None:
    """A second rotation shortens the overlap of the first where it ends sooner, else not."""
    before = events_of(a_client(), added(1), rotated(2, overlap=HOUR))
    outcome = given(*before).when(rotated(3, overlap=overlap, at=2))
    retirements = [event for event in outcome.events if isinstance(event, Client.SecretRetired)]

    assert [event.secret_id for event in retirements] == retired
    assert {event.usable_until for event in retirements} == {later(2).occurred_at + overlap}


def test_what_has_run_out_is_not_retired_again() -> None:
    """A rotation leaves a secret alone whose end has passed."""
    before = events_of(a_client(), added(1), rotated(2, overlap=timedelta(minutes=1)))
    outcome = given(*before).when(rotated(3, overlap=HOUR, at=10))

    assert [type(event) for event in outcome.events] == [Client.SecretRetired, Client.SecretAdded]
    assert outcome.events[0].secret_id == "secret-2"


FULL = events_of(a_client(), *[added(number) for number in range(MAX_SECRETS)])
PUBLIC = events_of(a_client(client_type=ClientType.PUBLIC, grant_types=()))


@pytest.mark.parametrize(
    ("description", "events", "message"),
    [
        ("too many usable", FULL, f"the client already has {MAX_SECRETS} usable secrets"),
        ("a public client", PUBLIC, "a public client has no secret"),
    ],
)
@pytest.mark.parametrize(
    "command",
    [pytest.param(added(9, at=1), id="add"), pytest.param(rotated(9, overlap=HOUR), id="rotate")],
)
def test_refused_secrets(
    description: str, events: list[object], message: str, command: Callable[[Client], object]
) -> None:
    """A secret too many, or one for a public client, is refused and records nothing: a rotation
    retires nothing either.
    """
    given(*events).refuses(command, InvalidConfiguration, message)


def test_an_emergency_rotation_is_never_refused() -> None:
    """With every place taken a rotation without overlap still works: it ends all the others."""
    outcome = given(*FULL).when(rotated(9, overlap=timedelta()))

    assert [type(event) for event in outcome.events] == [
        *[Client.SecretRetired] * MAX_SECRETS,
        Client.SecretAdded,
    ]


def test_a_retired_secret_makes_room() -> None:
    """Secrets that have run out do not count."""
    full = events_of(a_client(), *[added(number) for number in range(MAX_SECRETS - 1)])
    client = given(*full).when(rotated(8, overlap=HOUR)).events
    outcome = given(*full, *client).when(added(9, at=62))

    assert [event.secret_id for event in outcome.events] == ["secret-9"]


def test_a_current_secret_has_no_end() -> None:
    """A secret that was never retired is usable whenever asked."""
    client = a_client()
    added(1)(client)

    assert len(client.usable_secrets(NOON + timedelta(days=10_000))) == 1


def test_secrets_end_with_a_change_to_keys() -> None:
    """A client that proves itself by keys from now on, and by a secret again later, has none of the
    secrets of before.
    """
    by_keys = Authentication(method="private_key_jwt", jwks_uri="https://client.example/keys")
    outcome = given(*events_of(a_client(), added(1))).when(
        lambda client: client.set_authentication(by_keys, provenance=LATER)
    )
    client = outcome.then(
        fact(Client.SecretRetired, **ID, secret_id="secret-1", usable_until=LATER.occurred_at),
        fact(Client.AuthenticationChanged, **ID, authentication=by_keys),
        at=LATER,
    )
    client.set_authentication(Authentication(), provenance=later(2))

    assert client.usable_secrets(later(2).occurred_at) == []


def test_secrets_end_in_a_log_that_is_older_than_the_rule() -> None:
    """Where the change to keys retired nothing, as it once did, the secrets end all the same."""
    by_keys = Authentication(method="private_key_jwt", jwks_uri="https://client.example/keys")

    def as_it_once_was(client: Client) -> None:
        client._change(Client.AuthenticationChanged, later(1), authentication=by_keys)
        client._change(Client.AuthenticationChanged, later(2), authentication=Authentication())

    client = fold(events_of(a_client(), added(1), as_it_once_was))

    assert client.usable_secrets(later(3).occurred_at) == []
