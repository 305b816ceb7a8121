"""What is refused before a signature was looked at costs the work of one all the same.

How long it takes is measured by `make bench-timing`; here, that the work is done where it is due.
"""

from collections.abc import Iterator

import pytest

from application.decoy_keys import DecoyKeys
from application.errors import InvalidClient
from application.foreign_jwt import usable_keys
from application.unverified_jwt import UnverifiedJwt, read_jwt
from domain.client_configuration import SIGNING_ALGORITHMS
from tests.application.foreign_issuer import foreign_issuer
from tests.application.people.upstream_provider import SigningKey
from tests.application.service import FakeService
from tests.application.test_client_assertions import Scene

FORGER = SigningKey.make("ES256")


class CountedDecoys(DecoyKeys):
    """Counts how often something was verified in vain."""

    def __init__(self) -> None:
        super().__init__(SIGNING_ALGORITHMS)
        self.verified = 0

    def verify(self, token: UnverifiedJwt) -> None:
        self.verified += 1
        super().verify(token)


@pytest.fixture
def at() -> Iterator[Scene]:
    """A client with a key, and one with a secret."""
    with foreign_issuer() as issuer:
        scene = Scene(FakeService(), issuer)
        scene.register()
        yield scene


@pytest.mark.parametrize(
    ("changes", "verified"),
    [
        ({"sub": "nobody", "iss": "nobody"}, 1),
        ({"iss": "somebody"}, 1),
        ({"typ": "at+jwt"}, 1),
        ({"header": {"kid": "unknown"}}, 1),
        ({"key": FORGER}, 0),
        ({"aud": "https://elsewhere.example"}, 0),
    ],
    ids=["unknown client", "issuer", "type", "unknown kid", "forged", "audience"],
)
async def test_a_refusal_costs_one_signature(
    at: Scene, changes: dict[str, object], verified: int
) -> None:
    """A decoy's, where none of the client's was verified."""
    decoys = at.replicas[0]._decoys = CountedDecoys()
    with pytest.raises(InvalidClient):
        await at.prove(at.assertion(**changes))  # type: ignore[arg-type]

    assert decoys.verified == verified


def test_decoys_are_keys() -> None:
    """Each can be imported for its algorithm: else there would be no work to do."""
    keys = DecoyKeys(SIGNING_ALGORITHMS)._keys

    assert set(keys) == set(SIGNING_ALGORITHMS)
    assert all(usable_keys([jwk], (name,)) == [("", name)] for name, jwk in keys.items())


def test_nothing_is_verified_for_an_algorithm_of_no_list(at: Scene) -> None:
    """And nothing fails, whatever the header says."""
    for header in ('{"alg": "none"}', '{"alg": ["ES256"]}', '{"alg": "RS256", "kid": 7}', "{}"):
        DecoyKeys(SIGNING_ALGORITHMS).verify(read_jwt(at.issuer.signed(header)))
