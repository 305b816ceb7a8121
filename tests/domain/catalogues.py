"""Hypothesis strategies for scope catalogues and for names out of them."""

from hypothesis import strategies as st

from domain.permissions import HELD_BY_ROLE, Catalogue, Permission, Tier

_NAMES = ("a", "b", "c", "d", "e", "f:x", "f:y", "g")
# Few levels, so that there are ties.
_RANKS = st.tuples(st.integers(0, 3), st.sampled_from(Tier))


@st.composite
def catalogues(draw: st.DrawFn) -> Catalogue:
    """Return a valid catalogue of up to eight permissions of all tiers, and up to two roles."""
    ranks = draw(st.lists(_RANKS, max_size=len(_NAMES)))
    permissions = tuple(
        Permission(name=name, level=level, tier=tier)
        for name, (level, tier) in zip(_NAMES, ranks, strict=False)
    )
    held = [permission.name for permission in permissions if permission.tier in HELD_BY_ROLE]
    roles = {role: draw(subsets(held)) for role in draw(st.sampled_from([(), ("r",), ("r", "s")]))}
    return Catalogue(permissions=permissions, roles=roles)


def subsets(names: list[str]) -> st.SearchStrategy[tuple[str, ...]]:
    """Return a strategy for some of `names`, in any order."""
    if not names:
        return st.just(())
    return st.lists(st.sampled_from(names), unique=True).map(tuple)


def requests(names: list[str]) -> st.SearchStrategy[tuple[str, ...]]:
    """Return a strategy for what a request may name: some of `names`, some of them repeatedly."""
    if not names:
        return st.just(())
    return st.lists(st.sampled_from(names), max_size=8).map(tuple)
