"""Claims whose form RFC 7519 fixes, read from what others signed."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from application.foreign_jwt import ForeignJwtRefused

_LATEST = datetime(9999, 1, 1, tzinfo=UTC).timestamp()


def moment(claims: Mapping[str, Any], name: str) -> datetime | None:
    """Return a NumericDate (RFC 7519, Section 2; aware, UTC), None where the claim is absent.

    Raises ForeignJwtRefused for what is no moment of any calendar.
    """
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ForeignJwtRefused(f"{name}: an impossible moment")
    # A comparison takes numbers of any size, and NaN and the infinities fail it.
    if not 0 <= value < _LATEST:
        raise ForeignJwtRefused(f"{name}: an impossible moment")
    return datetime.fromtimestamp(value, UTC)
