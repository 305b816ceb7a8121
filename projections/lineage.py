"""The tree that a token is part of: from where its chain began to all that hangs on it.

A token is void where it or any ancestor was cut; `state` says so, whether or not anybody revoked
the token itself. Disabled clients and inactive people are not looked at: this is about tokens.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from projections import audit_trail, delegations
from projections.audit_trail import AuditEntry
from projections.delegations import Delegation
from projections.query import Asking

MAX_NODES = 20_000
"""The largest tree that is drawn; `complete` tells whether there is more."""


@dataclass(frozen=True, slots=True)
class Node:
    """A token of the tree; `depth` counts from 0 at the root, and moments are UTC.

    `state` is live, expired, revoked (by itself) or void (with an ancestor).
    """

    jti: UUID
    parent: UUID | None
    depth: int
    state: str
    client_id: str | None
    subject: str | None
    actors: tuple[str, ...]
    impersonation: bool
    issuer: str | None
    form: str
    scope: tuple[str, ...]
    audience: tuple[str, ...]
    issued_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    revoked_by: str | None
    cut: bool


@dataclass(frozen=True, slots=True)
class Lineage:
    """A tree in the order it is drawn: each token, then what was exchanged from it."""

    asked: UUID
    root: UUID
    complete: bool
    nodes: tuple[Node, ...]


def lineage_of(jti: UUID, *, now: datetime) -> Asking[Lineage | None]:
    """Ask query after query and return the tree with the token `jti`; None where it is unknown.

    A generator, so that blocking and async code ask in the same way: it yields queries and is sent
    their answers.
    """
    found: list[Delegation] = yield delegations.of_token(jti)
    root = found[0].root if found else jti
    below: list[Delegation] = yield delegations.below(root, limit=MAX_NODES)
    history: list[AuditEntry] = yield audit_trail.of_token(root)
    nodes = [_of_delegation(row) for row in below]
    if all(node.jti != root for node in nodes):
        first = _of_history(history)
        if first is None:
            return None
        nodes.insert(0, first)
    return Lineage(jti, root, len(below) < MAX_NODES, tuple(_drawn(root, nodes, now)))


def _drawn(root: UUID, nodes: Sequence[Node], now: datetime) -> Iterable[Node]:
    """Return the nodes depth first, with depth and state."""
    children: dict[UUID | None, list[Node]] = {}
    for node in nodes:
        children.setdefault(node.parent if node.jti != root else None, []).append(node)
    waiting = [(node, 0, False) for node in children.get(None, ())]
    while waiting:
        node, depth, void = waiting.pop()
        yield _with(node, depth=depth, state=_state(node, void=void, now=now))
        under = reversed(children.get(node.jti, ()))
        waiting += [(child, depth + 1, void or node.cut) for child in under]


def _state(node: Node, *, void: bool, now: datetime) -> str:
    if node.revoked_at is not None:
        return "revoked"
    if void:
        return "void"
    return "expired" if node.expires_at <= now else "live"


def _with(node: Node, *, depth: int, state: str) -> Node:
    facts = {name: getattr(node, name) for name in node.__dataclass_fields__}
    return Node(**{**facts, "depth": depth, "state": state})


def _of_delegation(row: Delegation) -> Node:
    return Node(
        jti=row.jti,
        parent=row.parent,
        depth=0,
        state="",
        client_id=row.client_id,
        subject=row.subject,
        actors=tuple(row.actors),
        impersonation=row.impersonation,
        issuer=row.issuer,
        form=row.form,
        scope=tuple(row.scope),
        audience=tuple(row.audience),
        issued_at=row.issued_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        revoked_by=row.revoked_by,
        cut=row.cut,
    )


def _of_history(history: Sequence[AuditEntry]) -> Node | None:
    issued = next((entry for entry in history if entry.topic == "token.issued"), None)
    if issued is None:
        return None
    revoked = [entry for entry in history if entry.topic == "token.revoked"]
    return Node(
        jti=issued.jti or UUID(int=0),
        parent=None,
        depth=0,
        state="",
        client_id=issued.client_id,
        subject=issued.subject,
        actors=(),
        impersonation=False,
        issuer=None,
        form=str(issued.detail.get("form", "")),
        scope=tuple(issued.scope or ()),
        audience=tuple(issued.audience or ()),
        issued_at=issued.occurred_at,
        expires_at=issued.expires_at or issued.occurred_at,
        revoked_at=revoked[0].occurred_at if revoked else None,
        revoked_by=revoked[0].actor if revoked else None,
        cut=any(entry.detail.get("descendants") for entry in revoked),
    )
