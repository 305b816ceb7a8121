"""How recent a login at the upstream provider has to be, where the request behind it says so.

`max_age` and `prompt` are passed on (OpenID Connect Core 1.0, Section 3.1.2.1): a session at the
provider must not stand in for the login that a client asks for. What comes back is held against it:

1. With `max_age`, "the ID Token returned MUST include an auth_time Claim Value".
2. The login is no older than `max_age` before it was begun here, and with `prompt=login` no older
   than that moment; the provider's clock may be a minute behind.
"""

from datetime import datetime, timedelta

import msgspec

LEEWAY = timedelta(seconds=60)
_PASSED_ON = ("login", "select_account")
"""The other words are about consent here, and about showing nothing: then nobody gets this far."""


class Recency(msgspec.Struct, frozen=True):
    """What a request says: `max_age` in seconds, and the words of its `prompt`."""

    max_age: int | None = None
    prompt: tuple[str, ...] = ()

    def parameters(self) -> dict[str, str]:
        """Return what the provider is asked with."""
        words = [word for word in self.prompt if word in _PASSED_ON]
        return {
            **({} if self.max_age is None else {"max_age": str(self.max_age)}),
            **({"prompt": " ".join(words)} if words else {}),
        }

    def problem_with(self, auth_time: datetime | None, *, begun_at: datetime) -> str:
        """Return why a login of `auth_time` will not do, "" where it will."""
        if auth_time is None:  # 1
            return (
                "auth_time missing, and max_age was asked for" if self.max_age is not None else ""
            )
        ages = [] if self.max_age is None else [timedelta(seconds=self.max_age)]
        if "login" in self.prompt:
            ages.append(timedelta(0))
        if ages and auth_time < begun_at - min(ages) - LEEWAY:  # 2
            return "the login at the provider is too old"
        return ""


ANY_LOGIN = Recency()
