"""Properties of `narrow`: what is granted was requested and is held by all who must hold it."""

from dataclasses import dataclass

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from domain.errors import ScopeNotGranted, ScopeUnknown
from domain.issuance import Narrowing, narrow
from domain.permissions import Catalogue, Tier
from tests.domain.catalogues import catalogues, requests, subsets

OF_MACHINES = (Tier.SERVICE, Tier.MANAGEMENT)


@dataclass(frozen=True)
class Case:
    """One request against what client and owner have."""

    catalogue: Catalogue
    requested: tuple[str, ...]
    client: tuple[str, ...]
    owner: tuple[str, ...]

    def eligible(self, name: str) -> bool:
        """Tell by the words of the rule whether `name` is to be granted."""
        if name not in self.requested or name not in self.client:
            return False
        return self.catalogue[name].tier in OF_MACHINES or name in self.owner

    def narrow(self) -> Narrowing:
        """Apply the code under test."""
        return narrow(
            requested=self.requested,
            client_scopes=self.client,
            owner_permissions=self.owner,
            catalogue=self.catalogue,
        )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Return a catalogue and any combination of request, client and owner over it."""
    catalogue = draw(catalogues())
    names = list(catalogue.by_name)
    return Case(catalogue, draw(requests(names)), draw(subsets(names)), draw(subsets(names)))


@st.composite
def granting_cases(draw: st.DrawFn) -> Case:
    """Return a case with at least one scope that must be granted."""
    case = draw(cases().filter(lambda case: case.catalogue.permissions))
    name = draw(st.sampled_from(list(case.catalogue.by_name)))
    return Case(
        case.catalogue,
        (*case.requested, name),
        (*case.client, name),
        (*case.owner, name),
    )


@st.composite
def refusing_cases(draw: st.DrawFn) -> Case:
    """Return a case in which no scope may be granted."""
    case = draw(cases())
    requested = tuple(name for name in case.requested if not case.eligible(name))
    return Case(case.catalogue, requested, case.client, case.owner)


@given(cases())
def test_granted_is_exactly_what_is_eligible(case: Case) -> None:
    """Granted is what was requested, the client has and, for user tier, the owner holds: no more
    and no less; where that is nothing, the request is refused.
    """
    eligible = {name for name in case.catalogue.by_name if case.eligible(name)}
    event("granted" if eligible else "refused")
    try:
        granted = case.narrow().granted
    except ScopeNotGranted:
        granted = ()

    assert set(granted) == eligible


@given(granting_cases())
def test_the_answer_is_ordered_and_without_repetition(case: Case) -> None:
    """Granted scopes come by descending level, ties in the order of the catalogue, each once."""
    granted = case.narrow().granted
    places = [permission.name for permission in case.catalogue.permissions]
    keys = [(-case.catalogue[name].level, places.index(name)) for name in granted]

    assert keys == sorted(set(keys))


@given(granting_cases())
def test_everything_requested_is_accounted_for(case: Case) -> None:
    """Each requested scope is in exactly one place: granted, lacking on the client, or lacking on
    the owner; and what machines have of themselves needs no owner.
    """
    found = case.narrow()
    places = [*found.granted, *found.withheld_by_client, *found.withheld_by_owner]

    assert sorted(places) == sorted(set(case.requested))
    assert set(found.withheld_by_client).isdisjoint(case.client)
    assert set(found.withheld_by_owner).isdisjoint(case.owner)
    assert {case.catalogue[name].tier for name in found.withheld_by_owner} <= {
        Tier.USER,
        Tier.IDENTITY,
    }


@given(refusing_cases())
def test_a_refusal_names_every_lacking_scope(case: Case) -> None:
    """Where nothing is granted the refusal names each requested scope on the side that lacks it."""
    lacking = {name: name in case.client for name in case.catalogue.order(case.requested)}
    parts = [
        f"{side}: {' '.join(names)}"
        for side, names in (
            ("not in the client's grant", [name for name, has in lacking.items() if not has]),
            ("not held by the owner", [name for name, has in lacking.items() if has]),
        )
        if names
    ]

    with pytest.raises(ScopeNotGranted) as refusal:
        case.narrow()

    assert str(refusal.value) == ("; ".join(parts) or "no scope requested")


@given(cases(), st.text("xyz", min_size=1))
def test_an_unknown_scope_is_refused_whatever_else_is_asked(case: Case, unknown: str) -> None:
    """A name outside the catalogue refuses the whole request, though the client had it."""
    with pytest.raises(ScopeUnknown, match=unknown):
        narrow(
            requested=(*case.requested, unknown),
            client_scopes=(*case.client, unknown),
            owner_permissions=(*case.owner, unknown),
            catalogue=case.catalogue,
        )


@given(granting_cases(), st.data())
def test_asking_again_for_what_was_granted_changes_nothing(case: Case, data: st.DataObject) -> None:
    """Narrowing to a part of what was granted grants exactly that part."""
    granted = case.narrow().granted
    part = data.draw(st.lists(st.sampled_from(granted), min_size=1))
    again = Case(case.catalogue, tuple(part), case.client, case.owner).narrow()

    assert set(again.granted) == set(part)
    assert (again.withheld_by_client, again.withheld_by_owner) == ((), ())
