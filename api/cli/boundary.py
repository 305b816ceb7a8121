"""A moment or a position of the log, as an option takes it."""

from datetime import UTC, datetime
from typing import Any

import rich_click as click

from projections.as_of import UnreadableAsOf, parse_as_of

BOUNDARY = "TIME|POSITION"


class Boundary(click.ParamType[int | datetime]):
    """A moment (2026-03-03T12:00:00Z, -90d) or a position, as --as-of has them."""

    name = BOUNDARY

    def convert(self, value: Any, param: Any, ctx: Any) -> int | datetime:
        """Return the position, an int, or the moment (UTC)."""
        try:
            return parse_as_of(str(value), now=datetime.now(UTC))
        except UnreadableAsOf as error:
            self.fail(str(error), param, ctx)
