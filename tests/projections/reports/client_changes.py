"""Random changes of clients, as administrators make them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from domain.client import MAX_SECRETS, Client
from domain.client_configuration import (
    WITHOUT_SECRET,
    Audiences,
    Authentication,
    Delegation,
    Redirects,
    RefreshPolicy,
    Registration,
    TokenPolicy,
)
from domain.provenance import Provenance
from tests.builders import CATALOGUE

CLIENTS = ("one", "two", "three")
Change = Callable[[Client, Provenance], None]
"""A change of a client, in its circumstances."""


def _some(*names: str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(names), unique=True).map(tuple)


def _setting(how: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Change]:
    """Return changes that call the method `how` with one of `values`."""

    def change(value: Any) -> Change:
        return lambda client, provenance: getattr(client, how)(value, provenance=provenance)

    return values.map(change)


def _scopes(scopes: tuple[str, ...]) -> Change:
    return lambda client, act: client.set_scopes(scopes, catalogue=CATALOGUE, provenance=act)


def _rotation(hours: int) -> Change:
    def rotate(client: Client, act: Provenance) -> None:
        full = len(client.usable_secrets(act.occurred_at)) >= MAX_SECRETS
        if client.authentication.method in WITHOUT_SECRET or full:
            return
        facts = {"secret_id": f"s-{len(client.secrets)}", "pepper_id": "p", "verifier": "v"}
        client.rotate_secret(**facts, overlap=timedelta(hours=hours), provenance=act)

    return rotate


KEY = {"kty": "EC", "crv": "P-256", "x": "eHg", "y": "eXk", "kid": "k-1"}
NAMES_OF_PEOPLE = ("alice", "bob", 'Zoë\'s "=1+1" \\ 漢')
CHANGES: st.SearchStrategy[Change] = st.one_of(
    _some("service", "mcp", "user").map(_scopes),
    st.integers(0, 4).map(_rotation),
    st.just(Client.disable),
    st.just(Client.enable),
    _setting("set_owner", st.sampled_from((None, "alice", "bob"))),
    _setting("rename", st.sampled_from(("", *NAMES_OF_PEOPLE))),
    _setting("set_grant_types", _some("client_credentials", "refresh_token")),
    _setting("set_authorization_details_types", _some("payment", "account")),
    _setting(
        "set_audiences",
        st.builds(
            lambda allowed, serves: Audiences(allowed=allowed, serves=serves),
            _some("hook", "https://api.example"),
            _some("hook"),
        ),
    ),
    _setting(
        "set_token_policy",
        st.builds(TokenPolicy, lifetime=st.sampled_from((None, 1, 600)), dpop_bound=st.booleans()),
    ),
    _setting(
        "set_delegation",
        st.builds(
            Delegation,
            may_act=st.none() | _some("alice", "one"),
            impersonation=st.booleans(),
        ),
    ),
    _setting(
        "set_authentication",
        st.sampled_from(
            (
                Authentication(),
                Authentication(method="client_secret_post"),
                Authentication(method="private_key_jwt", jwks=(KEY,)),
            )
        ),
    ),
    _setting("set_refresh_policy", st.builds(RefreshPolicy, grace=st.none() | st.integers(0, 60))),
    _setting(
        "set_registration",
        st.builds(Registration, software_id=st.sampled_from(("", *NAMES_OF_PEOPLE))),
    ),
    _setting(
        "set_redirects",
        st.builds(Redirects, redirect_uris=_some("https://a.example/cb", "https://b.example/cb")),
    ),
)
HISTORIES = st.lists(st.tuples(st.sampled_from(CLIENTS), CHANGES), min_size=1, max_size=25)
"""Which client is changed, and how; the first change of each stands for its registration."""
