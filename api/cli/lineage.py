"""`grantledger lineage`: who acts for whom by a token, and what hangs on it, as a tree."""

from datetime import UTC, datetime
from uuid import UUID

import rich_click as click
from rich.text import Text
from rich.tree import Tree

from api.cli.event_filters import told
from api.cli.options import data_dir_option, examples, json_option
from api.cli.outcomes import Refused
from api.cli.running import opened_read_models
from api.cli.tables import print_json, print_tree, shown
from projections.audit_trail import AUDIT_TRAIL
from projections.delegations import DELEGATIONS
from projections.lineage import Lineage, Node, lineage_of
from projections.query import answered

_STYLES = {"live": "green", "expired": "dim", "revoked": "red", "void": "red"}


@click.command(
    epilog=examples(
        "grantledger lineage 0197a2b4-6c1e-7d3f-8a55-0f3e2d1c4b6a",
        "grantledger lineage 0197a2b4-6c1e-7d3f-8a55-0f3e2d1c4b6a --json"
        " | jq '.nodes[] | select(.state == \"live\") | .jti'",
    )
)
@click.argument("jti", type=click.UUID)
@json_option
@data_dir_option
def lineage(*, jti: UUID, as_json: bool) -> None:
    """Show the tree of tokens that one belongs to: what it was exchanged from, and what from it."""
    with opened_read_models(
        DELEGATIONS, AUDIT_TRAIL, reads="lineage", filters=told({"jti": jti})
    ) as connection:
        found = answered(lineage_of(jti, now=datetime.now(UTC)), connection)
    if found is None:
        raise Refused(f"nothing is recorded about the token {jti}, or not projected yet")
    if as_json:
        print_json(found)
        return
    print_tree(_drawn(found))
    if not found.complete:
        click.echo(f"note: only the first {len(found.nodes)} tokens are shown", err=True)


def _drawn(found: Lineage) -> Tree:
    first, *others = found.nodes
    branches = {first.jti: Tree(_line(first, found.asked))}
    for node in others:
        above = branches[node.parent] if node.parent in branches else branches[first.jti]
        branches[node.jti] = above.add(_line(node, found.asked))
    return branches[first.jti]


def _line(node: Node, asked: UUID) -> Text:
    line = Text(str(node.jti), style="bold" if node.jti == asked else "")
    line.append(f" {node.state}", style=_STYLES[node.state])
    line.append(f"  {shown(node.client_id)} for {shown(node.subject)}")
    if node.actors:
        line.append(f"  act: {shown(' < '.join(node.actors))}")
    if node.impersonation:
        line.append("  impersonation", style="yellow")
    if node.issuer:
        line.append(f"  on the word of {shown(node.issuer)}")
    if node.form != "access_token":
        line.append(f"  {shown(node.form)}")
    line.append(f"  [{shown(node.scope)}] to {shown(node.audience)}", style="dim")
    if node.revoked_at is not None:
        with_all = ", with all below" if node.cut else ""
        line.append(f"  by {shown(node.revoked_by)} {shown(node.revoked_at)}{with_all}", "red")
    return line
