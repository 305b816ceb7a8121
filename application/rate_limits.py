"""How often the costly endpoints may be asked: per address before any work, per client after.

1. Per address: counted on arrival, before a body is read, a signature checked or keys fetched.
2. Per client: counted once a confidential client has proved who it is. By naming a client nobody
   uses up what is the client's; public clients prove nothing and count by their address alone,
   but for where they manage their registration, by a token of their own.
3. Failed authentications count by address once they have failed. An address that used up what it
   may fail is refused before its next attempt is looked at: that costs a look into memory, and a
   request that succeeds costs nothing.
4. What is used up is remembered by the process until the window ends: a flood makes no statements.
5. Where the shared windows are away, each process counts for itself for AWAY_SECONDS, then asks
   them again. Rate limits never make a request fail: what cannot be recorded is refused elsewhere.
6. A browser that logged somebody in before, and a person that is logged in, count by themselves:
   strangers behind the same address must not keep them from logging in.

Windows are fixed: the first request opens one. Up to twice the limit can pass around its end.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from limits import RateLimitItem
from limits.aio.storage import Storage
from limits.aio.strategies import FixedWindowRateLimiter

from application.errors import TooManyRequests
from application.ledger.errors import LedgerUnavailable
from application.ports import Clock
from application.rate_limit_settings import RateLimitSettings, limits_of
from application.request_context import RequestContext
from domain.client import Client
from domain.client_configuration import ClientType

AWAY_SECONDS = 5.0
_REMEMBERED = 10_000


class Counter:
    """Counts hits in the shared windows, or in those of this process."""

    def __init__(self, clock: Clock, own: Storage, shared: Storage | None = None) -> None:
        self._clock = clock
        self._own = FixedWindowRateLimiter(own)
        self._shared = FixedWindowRateLimiter(shared) if shared is not None else None
        self._away_until = 0.0
        self._used_up: dict[str, float] = {}

    async def hit(self, limit: RateLimitItem, *who: str) -> int:
        """Count one and return the seconds until there is room again, 0 where there is."""
        wait = self.known_wait(limit, *who)
        if wait:
            return wait
        for limiter in self._limiters():
            try:
                return await self._hit(limiter, limit, *who)
            except LedgerUnavailable:  # 5
                self._away_until = self._now() + AWAY_SECONDS
        return 0

    def known_wait(self, limit: RateLimitItem, *who: str) -> int:
        """4. Return the seconds that are known to be left, without counting or asking anybody."""
        if not self._used_up:
            return 0
        key = limit.key_for(*who)
        wait = ceil(self._used_up.get(key, 0.0) - self._now())
        # Longer than a window: the clock was put back since.
        if not 0 < wait <= limit.get_expiry():
            self._used_up.pop(key, None)
            return 0
        return wait

    async def _hit(self, limiter: FixedWindowRateLimiter, limit: RateLimitItem, *who: str) -> int:
        if await limiter.hit(limit, *who):
            return 0
        now, longest = self._now(), limit.get_expiry()
        ends_at = (await limiter.get_window_stats(limit, *who)).reset_time
        # A replica whose clock runs ahead must not make anybody wait longer than a window.
        left = min(float(longest), ends_at - now)
        if len(self._used_up) >= _REMEMBERED:
            self._used_up.clear()  # the windows themselves still know
        self._used_up[limit.key_for(*who)] = now + left
        return max(1, ceil(left))

    def _limiters(self) -> Iterator[FixedWindowRateLimiter]:
        if self._shared is not None and not 0 < self._away_until - self._now() <= AWAY_SECONDS:
            yield self._shared
        yield self._own

    def _now(self) -> float:
        return self._clock.now().timestamp()


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The limits of one kind of request; none where both are empty."""

    name: str
    counter: Counter
    per_address: tuple[RateLimitItem, ...] = ()
    per_client: tuple[RateLimitItem, ...] = ()

    async def require_address(self, context: RequestContext) -> None:
        """1. Count a request by where it comes from. Raises TooManyRequests."""
        if context.network:
            await self._require(self.per_address, "address", context.network)

    async def require_known(self, who: str) -> None:
        """6. Count a request of `who` by itself, as one of an address. Raises TooManyRequests."""
        await self._require(self.per_address, "known", who)

    async def require_client(self, client: Client) -> None:
        """2. Count a request of a client that was authenticated. Raises TooManyRequests."""
        if client.client_type is ClientType.CONFIDENTIAL:
            await self.require_proven(client)

    async def require_proven(self, client: Client) -> None:
        """2. Count a request of a client, public or not, that showed a token which nobody else
        has. Raises TooManyRequests.
        """
        await self._require(self.per_client, "client", client.client_id)

    async def require(self, client: Client, context: RequestContext) -> None:
        """1, 2, for work that begins only once the client is known. Raises TooManyRequests."""
        await self.require_address(context)
        await self.require_client(client)

    async def _require(self, limits: tuple[RateLimitItem, ...], kind: str, who: str) -> None:
        for limit in limits:
            wait = await self.counter.hit(limit, self.name, kind, who)
            if wait:
                raise TooManyRequests(wait, reason=f"rate limit: {self.name} per {kind}")

    def require_none_used_up(self, context: RequestContext) -> None:
        """3. Refuse an address that is known to have used up a limit. Raises TooManyRequests."""
        for limit in self.per_address:
            wait = self.counter.known_wait(limit, self.name, "address", context.network)
            if wait:
                raise TooManyRequests(wait, reason=f"rate limit: {self.name} per address")


class RateLimits:
    """The limits of a deployment, by kind of request."""

    def __init__(self, settings: RateLimitSettings, counter: Counter, own: Counter) -> None:
        """`own` counts in this process: for the hot path, which waits for no statement."""

        def limit(
            name: str, per_address: str, per_client: str = "", *, by: Counter = counter
        ) -> RateLimit:
            return RateLimit(name, by, limits_of(per_address), limits_of(per_client))

        self.failed_authentications = limit(
            "failed authentication", settings.rate_limit_failed_authentication_per_address
        )
        self.pushed_requests = limit(
            "pushed request",
            settings.rate_limit_pushed_request_per_address,
            settings.rate_limit_pushed_request_per_client,
        )
        self.devices = limit(
            "device",
            settings.rate_limit_device_per_address,
            settings.rate_limit_device_per_client,
        )
        self.foreign_tokens = limit(
            "foreign token",
            settings.rate_limit_foreign_token_per_address,
            settings.rate_limit_foreign_token_per_client,
        )
        self.authorize = limit("authorize", settings.rate_limit_authorize_per_address)
        self.login = limit("login", settings.rate_limit_login_per_address)
        self.registration = limit(
            "registration",
            settings.rate_limit_registration_per_address,
            settings.rate_limit_registration_per_client,
        )
        self.token = limit(
            "token",
            settings.rate_limit_token_per_address,
            settings.rate_limit_token_per_client,
            by=own,
        )
