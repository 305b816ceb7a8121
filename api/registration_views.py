"""How initial access tokens are shown to administrators, by API and CLI alike."""

from datetime import datetime
from typing import Self

from pydantic import Field

from api.views import View
from application.registration.tokens import NewToken
from domain.errors import GrantNotUsable
from domain.initial_access import InitialAccess


class InitialAccessView(View):
    """A leave to register clients; its token was shown once."""

    access_id: str
    usable: bool = Field(description="Whether one more client may be registered now")
    max_uses: int
    clients: tuple[str, ...] = Field(description="Who was registered with it")
    expires_at: datetime
    revoked: bool
    issued_at: datetime

    @classmethod
    def of(cls, access: InitialAccess, now: datetime) -> Self:
        """Return the view of a leave as of `now`."""
        return cls(
            access_id=access.access_id,
            usable=_usable(access, now),
            max_uses=access.max_uses,
            clients=access.clients,
            expires_at=access.expires_at,
            revoked=access.revoked,
            issued_at=access.created_on,
        )


class InitialAccessWithToken(InitialAccessView):
    """A leave together with its token, which is shown this once."""

    initial_access_token: str = Field(description="Keep it: it cannot be shown again")

    @classmethod
    def with_token(
        cls, access: InitialAccess, token: NewToken, now: datetime
    ) -> "InitialAccessWithToken":
        """Return the view of a leave and its new token."""
        shown = InitialAccessView.of(access, now).model_dump()
        return cls(**shown, initial_access_token=token.value)


def _usable(access: InitialAccess, now: datetime) -> bool:
    try:
        access.require_usable(now)
    except GrantNotUsable:
        return False
    return True
