"""How many keys are tried for a token of somebody else."""

from collections.abc import Iterator
from typing import Any

import jwt
import pytest

from application.foreign_jwt import ForeignJwtRefused, verified_claims
from application.unverified_jwt import UnverifiedJwt, read_jwt
from tests.application.people.upstream_provider import SigningKey

KEY, OTHER = SigningKey.make("ES256"), SigningKey.make("ES256", "key-2")


class Watched(list[dict[str, Any]]):
    """A key set that knows how many of its keys were looked at."""

    looked_at = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for key in super().__iter__():
            self.looked_at += 1
            yield key


def a_token() -> UnverifiedJwt:
    """Return a token that KEY signed and that names no key."""
    private: Any = KEY.private
    return read_jwt(jwt.encode({"sub": "alice"}, private, KEY.alg))


def test_two_keys_that_fit_are_too_many() -> None:
    """A token without a name is not tried with each key of a set, which may be long."""
    keys = Watched([OTHER.published, KEY.published] * 50)
    with pytest.raises(ForeignJwtRefused, match="signed by no published key"):
        verified_claims(a_token(), keys, algorithms=("ES256",))

    assert keys.looked_at == 2


def test_the_only_key_that_fits_needs_no_name() -> None:
    """Whatever else is published, before and after it."""
    others = [{**OTHER.published, "use": "enc"}, {**OTHER.published, "x": "AAAA"}]
    keys = [*others, KEY.published, *others]

    assert verified_claims(a_token(), keys, algorithms=("ES256",)) == {"sub": "alice"}
