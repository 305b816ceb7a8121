"""How recent a login at the upstream provider has to be, where the request behind it says so.

`max_age` and `prompt` are passed on (OpenID Connect Core 1.0, Section 3.1.2.1): a session at the
provider must not stand in for the login that a client asks for. What comes back is held against it:

1. With `max_age`, "the ID Token returned MUST include an auth_time Claim Value". So it is asked
   for always, by an age that every login has: when the person proved who it is goes on its session.
   `prompt=login` alone would not oblige the provider to say when: nothing could be checked.
2. The login is no older than `max_age` before it was begun here, and with `prompt=login` no older
   than that moment; the provider's clock may be a minute behind.
3. A provider that does not say when is believed where no age is asked for; the login counts as one
   of UNKNOWN then, which is recent for nothing.
"""

from datetime import UTC, datetime, timedelta

import msgspec

LEEWAY = timedelta(seconds=60)
UNKNOWN = datetime(1970, 1, 1, tzinfo=UTC)
_ANY_AGE = 10 * 365 * 86_400
_PASSED_ON = ("login", "select_account")
"""The other words are about consent here, and about showing nothing: then nobody gets this far."""


class Recency(msgspec.Struct, frozen=True):
    """What a request says: `max_age` in seconds, and the words of its `prompt`."""

    max_age: int | None = None
    prompt: tuple[str, ...] = ()

    @property
    def oldest(self) -> int | None:
        """How many seconds old the login may be, None for any number."""
        return 0 if "login" in self.prompt else self.max_age

    def parameters(self) -> dict[str, str]:
        """Return what the provider is asked with."""
        words = [word for word in self.prompt if word in _PASSED_ON]
        age = _ANY_AGE if self.oldest is None else self.oldest
        return {"max_age": str(age), **({"prompt": " ".join(words)} if words else {})}

    def problem_with(self, auth_time: datetime | None, *, begun_at: datetime) -> str:
        """Return why a login of `auth_time` will not do, "" where it will."""
        if self.oldest is None:  # 3
            return ""
        if auth_time is None:  # 1
            return "auth_time missing, and a recent login was asked for"
        if auth_time < begun_at - timedelta(seconds=self.oldest) - LEEWAY:  # 2
            return "the login at the provider is too old"
        return ""


ANY_LOGIN = Recency()
ANEW = Recency(prompt=("login",))
