"""The bounded mapping: what is used stays, what is not goes first."""

from application.recently_used import RecentlyUsed


def test_what_was_not_used_for_longest_goes() -> None:
    """Looking up and replacing count as use; the room is never exceeded."""
    kept: RecentlyUsed[str, int] = RecentlyUsed(3)
    for number, name in enumerate(("a", "b", "c")):
        kept.put(name, number)
    kept.get("a")
    kept.put("b", 10)
    kept.put("d", 3)

    assert [kept.get(name) for name in ("a", "b", "c", "d")] == [0, 10, None, 3]
    assert len(kept) == 3


def test_asking_for_what_is_unknown_changes_nothing() -> None:
    """A key that is not there takes no room."""
    kept: RecentlyUsed[str, int] = RecentlyUsed(1)
    kept.put("a", 1)

    assert kept.get("b") is None
    assert kept.get("a") == 1


def test_what_is_heavy_pushes_out_more() -> None:
    """Room is what all weigh together; a value that is replaced weighs what the new one does."""
    kept: RecentlyUsed[str, int] = RecentlyUsed(10)
    for name in ("a", "b", "c"):
        kept.put(name, 0, weight=3)
    kept.put("b", 1, weight=1)
    kept.put("d", 2, weight=3)
    everything = len(kept)
    kept.put("e", 3, weight=6)

    assert everything == 4
    assert [kept.get(name) for name in ("a", "c", "b", "d", "e")] == [None, None, 1, 2, 3]
