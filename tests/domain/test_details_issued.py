"""Which authorization details a token carries: of the client's types, for the token's targets."""

from typing import Any

import pytest

from domain.access_token import AccessToken
from domain.authorization_details import Details
from domain.client_configuration import Audiences, Redirects
from domain.errors import DetailsNotGranted, InvalidConfiguration
from domain.issuing_client import Authority
from tests.builders import AT_NOON, NOON, POLICY, SIGNING, a_client, a_principal, a_request

HERE, THERE = "https://here.example", "https://there.example"
AT_HERE = {"type": "payment", "locations": [HERE]}
AT_THERE = {"type": "payment", "locations": [THERE]}
ANYWHERE = {"type": "payment", "to": "DE02"}
ALL: Details = (AT_HERE, AT_THERE, ANYWHERE)
CLIENT: dict[str, Any] = {
    "grant_types": ("authorization_code", "refresh_token", "client_credentials"),
    "scopes": ("user", "mcp"),
    "audiences": Audiences(allowed=(HERE, THERE), default=(HERE,)),
    "redirects": Redirects(redirect_uris=("https://client.example/callback",)),
    "authorization_details_types": ("payment",),
}


def for_person(resource: tuple[str, ...], **wishes: Any) -> AccessToken:
    """Issue a token of a grant of all of them for `resource`."""
    return a_client(**CLIENT).issue_token_for_person(
        a_request(**wishes),
        Authority(("mcp",), ("mcp",), resource, NOON, authorization_details=ALL),
        grant_type="authorization_code",
        person=a_principal("alice"),
        family_id=None,
        policy=POLICY,
        signing=SIGNING,
        provenance=AT_NOON,
    )


def for_itself(**wishes: Any) -> AccessToken:
    """Issue a token to the client itself."""
    return a_client(**CLIENT).issue_token(
        a_request(**wishes),
        grant_type="client_credentials",
        owner=None,
        policy=POLICY,
        signing=SIGNING,
        provenance=AT_NOON,
    )


@pytest.mark.parametrize(
    ("description", "granted_for", "wanted_for", "carried"),
    [
        ("no target at all", (), (), ALL),
        ("the target of the authorization request", (HERE,), (), (AT_HERE, ANYWHERE)),
        ("both of them", (HERE, THERE), (), ALL),
        ("one of both, by the token request", (HERE, THERE), (THERE,), (AT_THERE, ANYWHERE)),
    ],
)
def test_tokens_of_people_carry_what_their_targets_are_for(
    description: str, granted_for: tuple[str, ...], wanted_for: tuple[str, ...], carried: Details
) -> None:
    """The target counts, whether it was named when it was granted or in the token request."""
    issued = for_person(granted_for, audience=wanted_for).issued

    assert issued.authorization_details == carried


def test_machines_are_held_to_their_targets_too() -> None:
    """client_credentials leaves out what is for other places."""
    wanted = {"authorization_details": ALL}

    assert for_itself(**wanted).issued.authorization_details == ALL
    assert for_itself(audience=(THERE,), **wanted).issued.authorization_details == (
        AT_THERE,
        ANYWHERE,
    )
    assert for_itself().issued.authorization_details == ()


def test_no_other_type() -> None:
    """What was granted of a type that the client has no more cannot be asked for again."""
    with pytest.raises(DetailsNotGranted):
        for_itself(authorization_details=({"type": "account"},))
    with pytest.raises(DetailsNotGranted):
        for_person((), authorization_details=({"type": "account"},))


@pytest.mark.parametrize("name", ["", "a b", "a\0", "\ud800", "a\n", "\u202e", "x" * 513])
def test_types_have_plain_names(name: str) -> None:
    """A name that could not be kept, or read, is refused when the types are changed, too."""
    client = a_client(**CLIENT)

    with pytest.raises(InvalidConfiguration):
        client.set_authorization_details_types(("payment", name), provenance=AT_NOON)
    assert client.authorization_details_types == ("payment",)
