"""What we fetch from others: JSON, from hosts that the configuration names, and nothing else.

Whoever may write a URL that we follow could otherwise make us ask what only we can reach
(RFC 9700 calls it SSRF). In this order:

1. The URL names exactly the configured host and port; https, or http where both are loopback.
2. Every address of the host is public (application.special_addresses), unless the host is itself a
   literal, is `localhost` (then loopback only), or is listed as one that may be private. Where
   strangers write the URLs, https alone is asked, and of literals and `localhost` too only those
   that are listed may be private.
3. The connection goes to an address that was checked, not to what a second look-up might say; the
   certificate must still be the host's.
4. Where strangers write the URLs, a host or network that is slow holds up itself alone
   (application.fetch_slots).
5. No redirects, no compression, no proxy; 5 s and 256 KiB in all; the answer is a JSON object that
   every reader reads alike (application.strict_json).
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, ip_address
from ssl import SSLContext
from typing import Any
from urllib.parse import quote_plus

import httpx
from pydantic import SecretStr

from application.fetch_slots import (
    OF_ONE_HOST,
    OF_ONE_NETWORK,
    BoundedResolver,
    FetchSlots,
    NoSlot,
    network_of,
)
from application.special_addresses import is_public
from application.strict_json import read_json

MAX_BYTES = 256 * 1024
SECONDS = 5.0
_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": "Grantledger",
}
MAX_PORT = 65_535
_DEFAULT_PORTS = {"https": 443, "http": 80}

Address = IPv4Address | IPv6Address
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]


class OutboundError(Exception):
    """A request to another service did not give an answer; `reason` is for the record."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class OutboundRefused(OutboundError):
    """We do not make this request, or do not take this answer."""


class OutboundFailed(OutboundError):
    """The other side cannot be reached or answers with an error."""


class OutboundGone(OutboundFailed):
    """The other side answers that there is nothing (any more)."""


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """Return the addresses of `host` as the system knows them. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Outbound:
    """Fetches JSON; `private_hosts` are names that may lie on private addresses. `of_strangers`
    says that anybody may write the URLs, `max_bytes` how long an answer may be.
    """

    def __init__(
        self,
        *,
        private_hosts: Collection[str] = (),
        resolve: Resolver | None = None,
        seconds: float = SECONDS,
        of_strangers: bool = False,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._private_hosts = frozenset(host.lower().strip("[]") for host in private_hosts)
        self._resolve = resolve or (BoundedResolver() if of_strangers else system_resolver)
        self._hosts = FetchSlots(of_one=OF_ONE_HOST) if of_strangers else None
        self._networks = FetchSlots(of_one=OF_ONE_NETWORK) if of_strangers else None
        self._seconds = seconds
        self._of_strangers = of_strangers
        self._max_bytes = max_bytes

    async def get_json(self, url: str, *, host: str) -> dict[str, Any]:
        """Return the JSON object at `url`, which must lie on `host` (a port with it, unless the
        scheme's own). Raises OutboundRefused, OutboundFailed.
        """
        return (await self._ask("GET", url, host=host))[0]

    async def get_lasting_json(
        self, url: str, *, host: str
    ) -> tuple[dict[str, Any], timedelta | None]:
        """Return what `get_json` does, and how long it may be kept (RFC 9111, Section 5.2.2.1).

        None where the answer does not say; raises as `get_json`.
        """
        document, headers = await self._ask("GET", url, host=host)
        return document, _max_age(headers.get("Cache-Control", ""))

    async def post_form(
        self,
        url: str,
        form: Mapping[str, str],
        *,
        host: str,
        auth: tuple[str, SecretStr] | None,
    ) -> dict[str, Any]:
        """Send `form` and return the JSON object of the answer; `auth` is a client id and its
        secret for HTTP Basic. Raises as `get_json`.
        """
        return (await self._ask("POST", url, host=host, data=form, auth=_basic(auth)))[0]

    @cached_property
    def _tls(self) -> SSLContext:
        return httpx.create_ssl_context()

    async def _ask(
        self, method: str, url: str, *, host: str, **content: Any
    ) -> tuple[dict[str, Any], httpx.Headers]:
        target = _checked_url(url, host)
        if self._of_strangers and target.scheme != "https":
            raise OutboundRefused(f"{host}: no https URL")
        try:
            with _slot(self._hosts, _ascii_host(target)):  # 4
                async with asyncio.timeout(self._seconds):
                    addresses = await self._addresses(target)
                    body, headers = await self._first_answer(method, target, addresses, content)
        except TimeoutError:
            raise OutboundFailed(f"{host}: no answer within {self._seconds:g} s") from None
        except NoSlot as error:
            raise OutboundFailed(f"{host}: {error}") from None
        return _json_object(body, host), headers

    async def _addresses(self, target: httpx.URL) -> Sequence[Address]:
        """Return where to connect to: rule 2."""
        host = _ascii_host(target)
        port = target.port or _DEFAULT_PORTS[target.scheme]
        if literal := _literal(host):
            if self._of_strangers and not self._may_lie_on(host, literal):
                raise OutboundRefused(f"{host}: a private address")
            return [literal]
        try:
            found = [ip_address(word) for word in await self._resolve(host, port)]
        except (OSError, ValueError):
            raise OutboundFailed(f"{host}: the name cannot be resolved") from None
        if not found:
            raise OutboundFailed(f"{host}: the name has no address")
        # All of them: a name with one address inside is no name of a public service.
        if not all(self._may_lie_on(host, address) for address in found):
            raise OutboundRefused(f"{host}: the name leads to a private address")
        return found

    def _may_lie_on(self, host: str, address: Address) -> bool:
        if host == "localhost" and not self._of_strangers:
            return address.is_loopback
        return host in self._private_hosts or is_public(address)

    async def _first_answer(
        self, method: str, target: httpx.URL, addresses: Sequence[Address], content: dict[str, Any]
    ) -> tuple[bytes, httpx.Headers]:
        for address in addresses:
            try:
                with _slot(self._networks, network_of(address)):
                    return await self._exchange(method, target, address, content)
            except httpx.ConnectError:
                continue  # nothing was sent: the next address may be one that we can reach
            except httpx.HTTPError as error:
                # Only its kind: the text of an error may quote what was sent.
                raise OutboundFailed(f"{target.host}: {type(error).__name__}") from None
        raise OutboundFailed(f"{target.host}: cannot be reached")

    async def _exchange(
        self, method: str, target: httpx.URL, address: Address, content: dict[str, Any]
    ) -> tuple[bytes, httpx.Headers]:
        """Rules 3 and 5. A client of its own for each request: a connection kept open to an
        address would serve another name on it.
        """
        async with (
            httpx.AsyncClient(
                verify=self._tls, trust_env=False, follow_redirects=False, timeout=self._seconds
            ) as client,
            client.stream(
                method,
                target.copy_with(host=str(address)),
                headers={**_HEADERS, "Host": target.netloc.decode()},
                extensions={"sni_hostname": _ascii_host(target)},
                **content,
            ) as response,
        ):
            _check_head(response, target.host)
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > self._max_bytes:
                    raise OutboundRefused(f"{target.host}: the answer is too long")
            return bytes(body), response.headers


def _slot(slots: FetchSlots | None, name: str) -> AbstractContextManager[None]:
    return nullcontext() if slots is None else slots.one(name)


def _checked_url(url: str, host: str) -> httpx.URL:
    """Rule 1. The same parser reads what is checked and what is requested."""
    try:
        target = httpx.URL(url)
        configured = httpx.URL(f"{target.scheme}://{host}")
    except (httpx.InvalidURL, UnicodeError):
        raise OutboundRefused(f"{host}: no valid URL") from None
    if target.scheme not in _DEFAULT_PORTS or not target.host or target.userinfo or target.fragment:
        raise OutboundRefused(f"{host}: no plain https URL")
    if target.port is not None and not 0 < target.port <= MAX_PORT:  # the parser takes any number
        raise OutboundRefused(f"{host}: no valid port")
    if target.netloc != configured.netloc:
        raise OutboundRefused(f"{host}: the URL lies on another host")
    if target.scheme == "http" and not is_loopback(_ascii_host(target)):
        raise OutboundRefused(f"{host}: http is for the loopback interface alone")
    return target


def is_loopback(host: str) -> bool:
    """Tell whether `host` is `localhost` or a literal address of the loopback interface."""
    literal = _literal(host)
    return literal.is_loopback if literal else host == "localhost"


def _ascii_host(url: httpx.URL) -> str:
    return url.raw_host.decode()


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _basic(auth: tuple[str, SecretStr] | None) -> httpx.BasicAuth | None:
    if auth is None:
        return None
    # RFC 6749, Section 2.3.1: both are form-encoded first.
    client_id, secret = auth
    return httpx.BasicAuth(quote_plus(client_id), quote_plus(secret.get_secret_value()))


def _check_head(response: httpx.Response, host: str) -> None:
    if response.is_redirect:
        raise OutboundRefused(f"{host}: answers with a redirect")
    if response.status_code in (httpx.codes.NOT_FOUND, httpx.codes.GONE):
        raise OutboundGone(f"{host}: status {response.status_code}")
    if response.status_code != httpx.codes.OK:
        raise OutboundFailed(f"{host}: status {response.status_code}")
    # What 256 KiB would unpack to is not known before they are.
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise OutboundRefused(f"{host}: the answer is compressed")


def _max_age(cache_control: str) -> timedelta | None:
    words = [word.strip().lower() for word in cache_control.split(",")]
    if "no-store" in words or "no-cache" in words:
        return timedelta(0)
    ages = [word.removeprefix("max-age=") for word in words if word.startswith("max-age=")]
    # Nine digits are thirty years: more is no number that a moment can be added to.
    if len(ages) != 1 or not (ages[0].isascii() and ages[0].isdigit()) or len(ages[0]) > 9:
        return None
    return timedelta(seconds=int(ages[0]))


def _json_object(body: bytes, host: str) -> dict[str, Any]:
    try:
        document = read_json(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise OutboundFailed(f"{host}: the answer is no JSON object")
    return document
