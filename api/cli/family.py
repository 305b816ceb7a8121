"""`grantledger family ...`: the refresh tokens of one grant, and what happened to them."""

from collections.abc import Callable, Mapping
from uuid import UUID

import rich_click as click

from api.cli.options import as_of_option, data_dir_option, examples, json_option
from api.cli.outcomes import Refused
from api.cli.past import from_past
from api.cli.tables import print_fields, print_json, print_rows
from api.past_views import FamilyEventView, FamilyView

_TIMELINE: Mapping[str, Callable[[FamilyEventView], object]] = {
    "position": lambda event: event.position,
    "when": lambda event: event.at,
    "what": lambda event: event.what.removeprefix("family."),
    "generation": lambda event: event.generation,
    "presented": lambda event: event.presented,
    "token": lambda event: event.jti,
    "revoked": lambda event: event.tokens_revoked,
    "by": lambda event: event.by,
    "why": lambda event: event.reason,
}


@click.group()
def family() -> None:
    """Look at families of refresh tokens."""


@family.command(
    epilog=examples(
        "grantledger family show 0197a2b4-6c1e-7d3f-8a55-0f3e2d1c4b6a",
        "grantledger family show 0197a2b4-6c1e-7d3f-8a55-0f3e2d1c4b6a --as-of -2h --json",
    )
)
@click.argument("family_id", type=click.UUID)
@as_of_option
@json_option
@data_dir_option
def show(*, family_id: UUID, as_of: str | None, as_json: bool) -> None:
    """Show a family: its generations, tokens, retries, reuse and end, now or as of a moment."""
    found = from_past(as_of, lambda past: past.family(family_id), what=f"family {family_id}")
    if found is None:
        raise Refused(f"there was no such family at that moment: {family_id}")
    view = FamilyView.of(found)
    if as_json:
        print_json(view)
        return
    print_fields(
        {
            "family": view.family_id,
            "state": view.state,
            "client": view.client_id,
            "subject": view.subject,
            "session": view.session_id,
            "scope": view.scope,
            "audience": view.audience,
            "generation": view.generation,
            "started": view.started_at,
            "expires": view.expires_at,
        }
    )
    print_rows(view.timeline, _TIMELINE, as_json=False)
