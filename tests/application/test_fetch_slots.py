"""Slots for strangers: what is slow holds up itself alone, by host, by network and by site."""

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import ip_address
from threading import Event
from typing import Any

import pytest

from application.fetch_slots import (
    OF_ONE_NETWORK,
    OF_ONE_SITE,
    BoundedResolver,
    FetchSlots,
    NoSlot,
    network_of,
    site_of,
)
from application.outbound import Outbound, OutboundFailed
from tests.application.raw_http import answer, raw_http


async def test_a_slow_network_holds_up_itself_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many names lead there; an address of another network is asked."""
    hanging: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        return ("198.41.0.4",) if host.startswith("slow") else ("198.41.1.4",)

    async def exchange(_: Outbound, __: str, target: Any, address: Any, ___: Any) -> Any:
        hanging.append(str(address))
        if str(address) == "198.41.0.4":
            await asyncio.Event().wait()
        return b"{}", {}

    monkeypatch.setattr(Outbound, "_exchange", exchange)
    outbound = Outbound(resolve=resolve, of_strangers=True)
    slow = [
        asyncio.create_task(outbound.get_json(f"https://slow{n}.example/", host=f"slow{n}.example"))
        for n in range(3 * OF_ONE_NETWORK)
    ]
    while len(hanging) < OF_ONE_NETWORK:  # noqa: ASYNC110  # each step is one of the loop
        await asyncio.sleep(0)
    good = await asyncio.wait_for(
        outbound.get_json("https://good.example/", host="good.example"), 4
    )
    refused = [task for task in slow if task.done()]
    for task in slow:
        task.cancel()

    assert good == {}
    assert len(refused) == 2 * OF_ONE_NETWORK
    assert all(isinstance(task.exception(), OutboundFailed) for task in refused)
    assert hanging.count("198.41.0.4") == OF_ONE_NETWORK


async def test_a_slow_name_server_holds_up_its_own_names_alone() -> None:
    """A look-up keeps its thread and its slot after its request gave up; others have theirs."""
    end = Event()

    def look_up(host: str, port: int, **_: Any) -> Sequence[Any]:
        if host.endswith("slow.example"):
            end.wait(20)
        return [(socket.AF_INET, None, None, "", ("198.41.0.4", port))]

    resolver = BoundedResolver(look_up)
    slow = [asyncio.create_task(resolver(f"h{n}.slow.example", 443)) for n in range(40)]
    await asyncio.sleep(0)
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    with pytest.raises(NoSlot):
        await resolver("another.slow.example", 443)
    good = await asyncio.wait_for(resolver("good.example", 443), 4)
    end.set()

    assert good == ["198.41.0.4"]
    assert sum(task.cancelled() for task in slow) == OF_ONE_SITE


async def test_hosts_that_were_configured_have_no_slots() -> None:
    """They are the operator's: each of many requests at once is answered."""
    async with raw_http(answer(b"{}")) as server:
        outbound = Outbound()
        found = await asyncio.gather(
            *(outbound.get_json(server.url, host=server.host) for _ in range(20))
        )

    assert found == [{}] * 20


def test_a_slot_comes_back() -> None:
    """Whatever became of the request, and nothing is remembered of a name that is not in use."""
    slots = FetchSlots(of_one=1, in_all=2)
    with pytest.raises(ZeroDivisionError), slots.one("a"):
        raise ZeroDivisionError
    with slots.one("a"), slots.one("b"):
        for name in ("a", "c"):
            with pytest.raises(NoSlot), slots.one(name):
                pass

    assert not slots._taken


@pytest.mark.parametrize(
    ("host", "site"),
    [
        ("app.example", "app.example"),
        ("a.b.c.app.example", "app.example"),
        ("APP.Example.", "app.example"),
        ("a.shop.co.uk", "shop.co.uk"),
        ("shop.co.uk", "shop.co.uk"),
        ("x.shop.de", "shop.de"),
        ("localhost", "localhost"),
    ],
)
def test_what_a_name_belongs_to(host: str, site: str) -> None:
    """Names below one that is sold are of one owner."""
    assert site_of(host) == site


def test_what_an_address_belongs_to() -> None:
    """Networks as they are given out."""
    assert network_of(ip_address("198.41.0.4")) == "198.41.0.0/24"
    assert network_of(ip_address("2606:4700:1:2::3")) == "2606:4700:1::/48"
