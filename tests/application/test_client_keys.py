"""Published keys of clients are kept for those that were used last."""

from application.client_keys import ROOM, ClientKeys
from application.outbound import Outbound
from domain.client import Client
from domain.client_configuration import Authentication
from tests.builders import a_client


def by_published_keys(client_id: str, uri: str = "https://client.example/jwks") -> Client:
    """Return a client whose keys lie at `uri`."""
    authentication = Authentication.model_validate({"method": "private_key_jwt", "jwks_uri": uri})
    return a_client(client_id=client_id, authentication=authentication)


def test_what_was_not_used_for_longest_is_dropped() -> None:
    """Of so many clients that no memory holds them all, those in use are not fetched anew."""
    keys = ClientKeys(Outbound())
    idle, busy = by_published_keys("idle"), by_published_keys("busy")
    kept = {client.client_id: keys.published(client) for client in (idle, busy)}
    for number in range(ROOM - 1):
        keys.published(by_published_keys(f"client-{number}"))
        keys.published(busy)

    assert keys.published(busy) is kept["busy"]
    assert keys.published(idle) is not kept["idle"]


def test_another_url_is_another_set() -> None:
    """What was fetched from where the keys of a client lay before does not prove it any more."""
    keys = ClientKeys(Outbound())
    before = keys.published(by_published_keys("agent"))
    moved = by_published_keys("agent", "https://client.example/other")

    assert keys.published(moved) is not before
    assert keys.published(moved) is keys.published(moved)
    assert keys.published(a_client()) is None
