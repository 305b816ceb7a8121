"""Clients known by their documents: fetched as from strangers, kept, and every refusal."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from application.administration import clients as administration
from application.administration.clients import Changes
from application.errors import UnusableDocument
from application.fetch_slots import OF_ONE_HOST
from application.outbound import Outbound
from application.registration.metadata_documents import (
    MAX_BYTES,
    MetadataDocuments,
)
from domain.client import Client
from domain.client_configuration import ClientType
from domain.metadata_url import host_of, is_metadata_url
from domain.provenance import Provenance
from tests.application.registration.document_server import PATH, DocumentServer, document_server
from tests.application.registration.scene import KEY, RegisteringService, days_later
from tests.application.service import context
from tests.builders import NOON, later

APP = "app.example"


def resolver(*addresses: str) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    """Return a resolver that knows every name by `addresses`."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return resolve


@dataclass
class Scene:
    """A host that publishes, and a deployment that asks it."""

    server: DocumentServer
    service: RegisteringService
    documents: MetadataDocuments

    async def admit(
        self, client_id: str, *, newcomers: bool = True, asked: Provenance | None = None
    ) -> bool:
        """Let a client be known."""
        at = asked or context().provenance
        return await self.documents.admit(
            client_id, newcomers=newcomers, asked=at, service=self.service
        )

    def client(self, path: str = PATH) -> Client:
        """Return the client as it is recorded."""
        found: Client = self.service.log.folded(Client.stream(self.server.url(path)))
        return found


def asking(*, private: tuple[str, ...] = (APP,), enabled: bool = True) -> MetadataDocuments:
    """Return documents of a process that knows every host at the loopback address."""
    outbound = Outbound(
        private_hosts=private,
        resolve=resolver("127.0.0.1"),
        of_strangers=True,
        max_bytes=MAX_BYTES,
    )
    return MetadataDocuments(outbound, enabled=enabled)


@pytest.fixture
def at(
    service: RegisteringService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Scene]:
    """A scene; the deployment trusts the certificate."""
    with document_server(tmp_path, name=APP) as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))
        yield Scene(server, service, asking())


async def test_a_client_becomes_known(at: Scene) -> None:
    """Recorded with the digest of its document, public where it says nothing else."""
    url = at.server.publish()
    recorded = await at.admit(url)
    client = at.client()

    assert recorded
    assert (client.client_id, client.name) == (url, "Published app")
    assert client.client_type is ClientType.PUBLIC
    assert client.registration.source == "metadata_document"
    assert len(client.registration.document or "") == 64
    assert client.registration_token is None
    assert client.scopes == ("mcp", "openid", "profile", "offline_access")
    assert host_of(url).startswith(f"{APP}:")


async def test_by_a_key(at: Scene) -> None:
    """private_key_jwt is the one way to be confidential."""
    await at.admit(
        at.server.publish(
            token_endpoint_auth_method="private_key_jwt", jwks={"keys": [KEY.published]}
        )
    )

    assert at.client().authentication.method == "private_key_jwt"


async def test_a_document_is_kept(at: Scene) -> None:
    """By its headers, for a minute at least; what changed is recorded, once."""
    at.server.headers = {"Cache-Control": "max-age=120"}
    url = at.server.publish()
    await at.admit(url)
    again = await at.admit(url)
    at.server.publish(client_name="Renamed")
    kept = await at.admit(url, asked=later(1))
    renewed = await at.admit(url, asked=later(3))
    other_replica = await Scene(at.server, at.service, asking()).admit(url, asked=later(3))

    assert [again, kept, renewed, other_replica] == [False, False, True, False]
    assert at.client().name == "Renamed"
    assert at.server.requests[PATH] == 3
    assert [event.by for event in at.service.log.of(Client.Renamed)] == ["metadata document"]


async def test_failures_are_not_kept(at: Scene) -> None:
    """A document that appears is found after a moment; meanwhile nobody makes us ask again."""
    url = at.server.url()
    for _ in range(3):
        with pytest.raises(UnusableDocument):
            await at.admit(url)
    asked = at.server.requests[PATH]
    at.server.publish()

    assert asked == 1
    assert await at.admit(url, asked=later(0.2))


async def test_only_where_requests_begin(at: Scene) -> None:
    """Elsewhere nobody makes us fetch for a client that is not known; of a known one the record
    stands; where its host says that the document is gone, it begins nothing new.
    """
    url = at.server.publish()
    unknown = await at.admit(url, newcomers=False)
    asked = at.server.requests[PATH]
    await at.admit(url)
    del at.server.documents[PATH]
    at.documents = asking()
    away = await at.admit(url, newcomers=False)

    assert (unknown, asked, away) == (False, 0, False)
    assert at.client().enabled
    with pytest.raises(UnusableDocument):
        await at.admit(url, asked=later(1))


async def test_off(at: Scene) -> None:
    """A deployment without such clients fetches nothing."""
    at.documents = asking(enabled=False)
    assert not await at.admit(at.server.publish())

    assert at.server.requests == {}


async def test_who_disabled_it_decides(at: Scene) -> None:
    """What an administrator disabled stays so, unasked; what was unused comes back when it does."""
    url = at.server.publish()
    await at.admit(url)
    client = at.client()
    client.disable(Provenance(days_later(40), "req_9", by="system", why="never used"))
    at.service.log.record(client)
    back = await at.admit(url)
    await administration.change(
        url, Changes(enabled=False), service=at.service, provenance=later(1)
    )
    asked = at.server.requests[PATH]
    stays = await at.admit(url, asked=later(200))

    assert (back, stays) == (True, False)
    assert not at.client().enabled
    assert at.server.requests[PATH] == asked


async def test_an_administrator_has_the_last_word(at: Scene) -> None:
    """A changed document gives back nothing that was taken, and turns no binding off."""
    url = at.server.publish(dpop_bound_access_tokens=True)
    await at.admit(url)
    await administration.change(
        url, Changes(scopes=("openid",)), service=at.service, provenance=later(1)
    )
    at.server.publish(client_name="Renamed", scope="openid mcp")
    at.documents = asking()
    await at.admit(url)

    assert at.client().name == "Renamed"
    assert at.client().scopes == ("openid",)
    assert at.client().tokens.dpop_bound


async def test_two_processes_at_once(at: Scene) -> None:
    """The second finds the client there, with the same document."""
    url = at.server.publish()
    other = Scene(at.server, at.service, asking())
    faster = RegisteringService(keys=at.service.keys)
    await other.documents.admit(url, newcomers=True, asked=context().provenance, service=faster)
    twin = faster.log.folded(Client.stream(url))

    def record() -> None:
        at.service.log._streams.update(faster.log._streams)

    at.service.log.meanwhile = record
    assert await at.admit(url)

    assert at.client() == twin


REFUSED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("another client_id", {"client_id": "https://app.example/other.json"}),
    ("no client_id", {"client_id": None}),
    ("client_id no text", {"client_id": 7}),
    ("a secret", {"client_secret": "hidden"}),
    ("the end of a secret", {"client_secret_expires_at": 0}),
    ("secret in the header", {"token_endpoint_auth_method": "client_secret_basic"}),
    ("secret in the body", {"token_endpoint_auth_method": "client_secret_post"}),
    (
        "by certificate",
        {"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "a.example"},
    ),
    ("key without keys", {"token_endpoint_auth_method": "private_key_jwt"}),
    (
        "private key",
        {
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [{**KEY.published, "d": "A"}]},
        },
    ),
    ("machine", {"grant_types": ["client_credentials"], "redirect_uris": None}),
    (
        "machine by key",
        {
            "grant_types": ["authorization_code", "client_credentials"],
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [KEY.published]},
        },
    ),
    ("no redirect URI", {"redirect_uris": None}),
    ("script", {"redirect_uris": ["javascript:1"]}),
    ("scope of administrators", {"scope": "openid admin"}),
    ("oversized", {"client_uri": "https://a.example/", "padding": "x" * MAX_BYTES}),
    ("statement of nobody", {"software_statement": "a.b.c"}),
)


@pytest.mark.parametrize(("description", "members"), REFUSED, ids=[row[0] for row in REFUSED])
async def test_documents_that_are_refused(
    at: Scene, description: str, members: dict[str, Any]
) -> None:
    """One text for every cause, the cause in the record, and nothing else in it."""
    url = at.server.publish(**members)
    with pytest.raises(UnusableDocument) as refusal:
        await at.admit(url)

    assert refusal.value.description == UnusableDocument(reason="").description
    assert refusal.value.reason != refusal.value.description
    assert "hidden" not in refusal.value.reason
    assert at.service.log.events == []


@pytest.mark.parametrize(
    ("description", "status", "headers", "body"),
    [
        ("redirect", 302, {"Location": "https://app.example/other"}, {}),
        ("not there", 404, {}, {}),
        ("created", 201, {}, {}),
        ("failing", 500, {}, {}),
        ("compressed", 200, {"Content-Encoding": "gzip"}, {}),
        ("no object", 200, {}, []),
        ("no JSON", 200, {}, b"<html>"),
    ],
)
async def test_answers_that_are_refused(
    at: Scene, description: str, status: int, headers: dict[str, str], body: Any
) -> None:
    """No redirect is followed, and 200 alone is an answer."""
    url = at.server.publish()
    if body != {}:
        at.server.documents[PATH] = body
    at.server.status, at.server.headers = status, headers
    with pytest.raises(UnusableDocument):
        await at.admit(url)

    assert sum(at.server.requests.values()) == 1
    assert at.service.log.events == []


async def test_documents_that_nest(at: Scene) -> None:
    """However deep, a refusal and no failure of ours."""
    url = at.server.url()
    for levels in range(100, 2400, 100):
        body = b'{"client_id":"%s","a":%s}' % (url.encode(), b"[" * levels + b"]" * levels)
        at.server.documents[PATH] = body
        at.documents = asking()
        with pytest.raises(UnusableDocument):
            await at.admit(url)


@dataclass
class SlowHosts:
    """Names whose look-up never ends; that of the good host does."""

    hanging: int = 0

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """Return the address of a host; of the slow ones, never."""
        if host == APP:
            return ("127.0.0.1",)
        self.hanging += 1
        await asyncio.Event().wait()
        raise AssertionError


async def test_slow_hosts_hold_up_themselves_alone(at: Scene) -> None:
    """A few hosts that never answer take their own slots; another client's document is had."""
    slow = SlowHosts()
    outbound = Outbound(
        private_hosts=[APP], resolve=slow.resolve, of_strangers=True, max_bytes=MAX_BYTES
    )
    at.documents = MetadataDocuments(outbound, enabled=True)
    waiting = [
        asyncio.create_task(at.documents.document(f"https://slow{n % 8}.example/{n}", NOON))
        for n in range(100)
    ]
    while slow.hanging < 8 * OF_ONE_HOST:  # noqa: ASYNC110  # each step is one of the loop
        await asyncio.sleep(0)
    recorded = await asyncio.wait_for(at.admit(at.server.publish()), 4)
    refused = [task for task in waiting if task.done()]
    for task in waiting:
        task.cancel()
    errors = [str(task.exception()) for task in refused]

    assert recorded
    assert len(refused) == 100 - 8 * OF_ONE_HOST
    assert all("too many requests for slow" in error for error in errors)


@pytest.mark.parametrize(
    ("description", "status", "headers", "body"),
    [
        ("failing", 500, {}, None),
        ("busy", 503, {}, None),
        ("redirect", 302, {"Location": "https://app.example/other"}, None),
        ("no JSON", 200, {}, b"<html>"),
        ("too long", 200, {}, b'{"padding": "%s"}' % (b"x" * MAX_BYTES)),
    ],
)
async def test_a_known_client_goes_on_while_its_document_is_away(
    at: Scene, description: str, status: int, headers: dict[str, str], body: Any
) -> None:
    """At the beginnings too, as it is recorded; a newcomer is refused for the same answer."""
    url = at.server.publish()
    await at.admit(url)
    known = at.client()
    at.server.status, at.server.headers = status, headers
    if body is not None:
        at.server.documents[PATH] = body
    at.documents = asking()
    admitted = await at.admit(url)
    with pytest.raises(UnusableDocument):
        await at.admit(at.server.url("/other.json"))

    assert not admitted
    assert at.client() == known


async def test_a_known_client_waits_for_no_fetch(at: Scene) -> None:
    """While its document is being fetched, others that name it are served by the record."""
    url = at.server.publish()
    await at.admit(url)
    slow = SlowHosts()
    hanging = Outbound(private_hosts=[APP], resolve=_never(slow), of_strangers=True)
    at.documents = MetadataDocuments(hanging, enabled=True)
    first = asyncio.create_task(at.admit(url))
    while not slow.hanging:  # noqa: ASYNC110  # each step is one of the loop
        await asyncio.sleep(0)
    others = await asyncio.wait_for(asyncio.gather(*(at.admit(url) for _ in range(20))), 1)
    first.cancel()

    assert others == [False] * 20
    assert slow.hanging == 1


def _never(slow: SlowHosts) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return await slow.resolve("slow.example", port)

    return resolve


async def test_an_unusable_document_of_a_known_client_is_refused(at: Scene) -> None:
    """What is had and breaks the rules counts: the record serves only while nothing is had."""
    url = at.server.publish()
    await at.admit(url)
    at.server.publish(client_secret="hidden")  # what must not be there
    at.documents = asking()
    with pytest.raises(UnusableDocument):
        await at.admit(url)


async def test_private_addresses_are_not_asked(at: Scene) -> None:
    """Neither by name nor by literal, nor the loopback interface, whatever the port."""
    port = at.server.base.rpartition(":")[2]
    at.documents = asking(private=())
    for host in (APP, "127.0.0.1", "localhost", "169.254.169.254", "0x7f.1"):
        with pytest.raises(UnusableDocument):
            await at.admit(f"https://{host}:{port}{PATH}")

    assert at.server.requests == {}
    assert at.service.log.events == []


async def test_strangers_keys_are_not_asked_inside(at: Scene) -> None:
    """http, literals and localhost are for configured URLs; strangers' get public hosts alone."""
    outbound = Outbound(resolve=resolver("10.0.0.1"), of_strangers=True)
    for url in ("http://127.0.0.1/k", "https://10.0.0.1/k", "https://localhost/k", at.server.url()):
        host = url.split("/")[2]
        with pytest.raises(Exception, match=r"no https URL|a private address"):
            await outbound.get_json(url, host=host)


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://app.example/meta", True),
        ("https://app.example:8443/a/b.json", True),
        ("https://app.example/a%20b", True),
        ("https://app.example/a..b/.well-known/x", True),
        ("http://app.example/meta", False),
        ("https://app.example", False),
        ("https://app.example/", False),
        ("https://app.example/meta#part", False),
        ("https://app.example/meta?x=1", False),
        ("https://user@app.example/meta", False),
        ("https://user:pass@app.example/meta", False),
        ("https://App.example/meta", False),
        ("https://app.example/a/../b", False),
        ("https://app.example/./b", False),
        ("https://app.example/a/..", False),
        ("https://app.example/a/%2E%2e/b", False),
        ("https://app.example/a%2", False),
        ("https://app.example/a b", False),
        ("https://app.example/a\nb", False),
        ("https://app.example:/a", False),
        ("https://app.example:65535/a", True),
        ("https://app.example:65536/a", False),
        ("https://app.example:99999/a", False),
        ("https://[::1]/a", False),
        ("https:///a", False),
        ("https://app.example/" + "x" * 300, False),
        ("demo", False),
    ],
)
def test_which_urls_are_client_ids(url: str, good: bool) -> None:
    """Section 3 of the draft, and nothing that could be written in two ways."""
    assert is_metadata_url(url) == good
