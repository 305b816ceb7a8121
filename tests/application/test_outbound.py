"""What we fetch from others: only from configured hosts, at addresses they may have, in bounds."""

import gzip
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from pydantic import SecretStr

from application.outbound import MAX_BYTES, Outbound, OutboundFailed, OutboundRefused
from tests.application.certificate import Certificate
from tests.application.raw_http import answer, raw_http

OK = answer(b'{"a": 1}')


def resolver(*addresses: str) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    """Return a resolver that knows every name by `addresses`."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return resolve


async def nowhere(host: str, port: int) -> Sequence[str]:
    """A resolver that knows no name."""
    raise OSError("unknown name")


NEVER_FETCHED = (
    ("http://id.example/", "id.example", "http is for the loopback interface alone"),
    ("http://10.0.0.1/", "10.0.0.1", "http is for the loopback interface alone"),
    ("https://other.example/", "id.example", "the URL lies on another host"),
    ("https://id.example:8443/", "id.example", "the URL lies on another host"),
    ("https://id.example/", "id.example:8443", "the URL lies on another host"),
    ("https://id.example.other.example/", "id.example", "the URL lies on another host"),
    ("https://127.0.0.1/", "id.example", "the URL lies on another host"),
    ("https://id.example\\@other.example/", "id.example", "no plain https URL"),
    ("https://id.example@other.example/", "id.example", "no plain https URL"),
    ("https://user:secret@id.example/", "id.example", "no plain https URL"),
    ("https://id.example/#part", "id.example", "no plain https URL"),
    ("ftp://id.example/", "id.example", "no plain https URL"),
    ("file:///etc/passwd", "id.example", "no plain https URL"),
    ("/keys", "id.example", "no"),
    ("", "id.example", "no"),
    ("https://id.example:port/", "id.example", "no valid URL"),
    ("https://id.example:65536/", "id.example:65536", "no valid port"),
    ("https://id.example:99999/", "id.example:99999", "no valid port"),
    ("https://id.example:-1/", "id.example:-1", "no valid port"),
    ("https://id.example:0/", "id.example:0", "no valid port"),
)


@pytest.mark.parametrize(("url", "host", "reason"), NEVER_FETCHED)
async def test_refuses_a_url_before_anything_else(url: str, host: str, reason: str) -> None:
    """A URL that is not plain https on the configured host is not even looked up."""
    asked: list[str] = []

    async def resolve(name: str, port: int) -> Sequence[str]:
        asked.append(name)
        return ()

    with pytest.raises(OutboundRefused) as refusal:
        await Outbound(resolve=resolve).get_json(url, host=host)

    assert reason in refusal.value.reason
    assert "secret" not in refusal.value.reason
    assert asked == []


PRIVATE = (
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",  # noqa: S104  # the address that a hostile name leads to
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fd00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
)


@pytest.mark.parametrize("address", PRIVATE)
async def test_a_name_that_leads_inside_is_refused(address: str) -> None:
    """No name that is not listed gets us to a private address, not beside a public one either."""
    for found in ([address], ["198.41.0.4", address]):
        with pytest.raises(OutboundRefused, match="leads to a private address"):
            await Outbound(resolve=resolver(*found)).get_json(
                "https://id.example/", host="id.example"
            )


@pytest.mark.parametrize("name", ["2130706433", "0x7f.1", "127.1"])
async def test_other_spellings_of_loopback_are_refused(name: str) -> None:
    """What only the system takes for an address is a name to us, and it leads inside."""
    with pytest.raises(OutboundRefused):
        await Outbound().get_json(f"https://{name}/", host=name)


async def test_localhost_is_loopback_alone() -> None:
    """A `localhost` that leads elsewhere is refused, public or not."""
    for address in ("10.0.0.1", "198.41.0.4"):
        with pytest.raises(OutboundRefused, match="leads to a private address"):
            await Outbound(resolve=resolver(address)).get_json(
                "http://localhost/", host="localhost"
            )


@pytest.mark.parametrize("resolve", [nowhere, resolver(), resolver("no address")])
async def test_a_name_without_address_fails(
    resolve: Callable[[str, int], Awaitable[Sequence[str]]],
) -> None:
    """A name that cannot be resolved is a failure of the other side."""
    with pytest.raises(OutboundFailed):
        await Outbound(resolve=resolve).get_json("https://id.example/", host="id.example")


async def test_fetches_from_a_loopback_literal() -> None:
    """What the configuration itself puts on the loopback interface is fetched, over http too."""
    async with raw_http(OK) as server:
        document = await Outbound(resolve=nowhere).get_json(server.url, host=server.host)

    assert document == {"a": 1}
    (request,) = server.requests
    assert request.startswith(b"GET /path HTTP/1.1\r\n")
    assert f"host: {server.host}".encode() in request.lower()


async def test_connects_to_what_was_checked() -> None:
    """The name is looked up once, and a second answer would change nothing."""
    looked_up: list[str] = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        looked_up.append(host)
        return ["127.0.0.1"] if len(looked_up) == 1 else ["192.0.2.1"]

    async with raw_http(OK) as server:
        await Outbound(resolve=rebinding).get_json(
            f"http://localhost:{server.port}/path", host=f"localhost:{server.port}"
        )

    assert looked_up == ["localhost"]
    assert f"host: localhost:{server.port}".encode() in server.requests[0].lower()


async def test_goes_on_to_the_next_address() -> None:
    """An address of the host where nobody listens does not hide the one where it does."""
    async with raw_http(OK) as server:
        found = await Outbound(resolve=resolver("127.0.0.9", "127.0.0.1")).get_json(
            f"http://localhost:{server.port}/", host=f"localhost:{server.port}"
        )

    assert found == {"a": 1}


async def test_sends_a_form_with_the_encoded_secret() -> None:
    """RFC 6749, Section 2.3.1: name and secret are form-encoded before they are Basic's."""
    async with raw_http(OK) as server:
        await Outbound().post_form(
            server.url,
            {"code": "a b"},
            host=server.host,
            auth=("us & co", SecretStr("s:cret%")),
        )

    (request,) = server.requests
    assert b"authorization: basic dXMrJTI2K2NvOnMlM0FjcmV0JTI1\r\n".lower() in request.lower()
    assert request.endswith(b"\r\n\r\ncode=a+b")


async def test_uses_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment would connect where it likes: it is not asked."""
    async with raw_http(OK) as server, raw_http(OK) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.port}")
        await Outbound().get_json(server.url, host=server.host)

    assert (len(server.requests), len(proxy.requests)) == (1, 0)


UNUSABLE = (
    (answer(b"{}", status="302 Found", Location="http://127.0.0.1/"), "a redirect"),
    (answer(b"{}", status="307 Temporary Redirect", Location="/"), "a redirect"),
    (answer(b"{}", status="404 Not Found"), "status 404"),
    (answer(b'{"error": "x"}', status="400 Bad Request"), "status 400"),
    (answer(b"{}", status="201 Created"), "status 201"),
    (answer(gzip.compress(b"{}", mtime=0), **{"Content-Encoding": "gzip"}), "compressed"),
    (answer(b" " * MAX_BYTES + b"{}"), "too long"),
    (answer(b"[]"), "no JSON object"),
    (answer(b"{"), "no JSON object"),
    (answer(b"\xff"), "no JSON object"),
    (answer(b'{"a":1,"a":2}'), "no JSON object"),
    (answer(b"\xef\xbb\xbf{}"), "no JSON object"),
    (answer(b"[" * 100_000), "no JSON object"),
    (b"nonsense\r\n\r\n", "RemoteProtocolError"),
    (b"", "RemoteProtocolError"),
    (answer(b"{}")[:-1], "RemoteProtocolError"),
)


@pytest.mark.parametrize(("response", "reason"), UNUSABLE)
async def test_an_unusable_answer_is_an_error(response: bytes, reason: str) -> None:
    """Redirects are not followed, and what is no bounded JSON object is no answer."""
    async with raw_http(response) as server:
        with pytest.raises((OutboundRefused, OutboundFailed)) as refusal:
            await Outbound().get_json(server.url, host=server.host)

    assert reason in refusal.value.reason
    assert len(server.requests) == 1


async def test_takes_an_answer_of_full_length() -> None:
    """256 KiB exactly are taken."""
    async with raw_http(answer(b"{}".ljust(MAX_BYTES))) as server:
        assert await Outbound().get_json(server.url, host=server.host) == {}


async def test_an_endless_answer_is_cut_off() -> None:
    """An answer without announced length ends where it is too long."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
    async with raw_http(head + b" " * (2 * MAX_BYTES)) as server:
        with pytest.raises(OutboundRefused, match="too long"):
            await Outbound().get_json(server.url, host=server.host)


@pytest.mark.parametrize("response", [b"", OK[:-1]])
async def test_waits_for_a_time_only(response: bytes) -> None:
    """A host that does not answer, or stops in the middle, costs the limit and no more."""
    async with raw_http(response, hangs=True) as server:
        with pytest.raises(OutboundFailed, match=r"no answer within 0\.2 s|Timeout"):
            await Outbound(seconds=0.2).get_json(server.url, host=server.host)


async def test_a_host_that_is_away_fails() -> None:
    """Where nobody listens, the failure names the host."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(OutboundFailed, match=r"127\.0\.0\.1: cannot be reached"):
            await Outbound().get_json(f"http://{host}/", host=host)


@pytest.mark.parametrize(
    ("certified", "trusted"),
    [("id.example", True), ("127.0.0.1", False), ("other.example", False)],
)
async def test_the_certificate_must_be_the_hosts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, certified: str, trusted: bool
) -> None:
    """Connected by address, the certificate is still checked for the name that was configured."""
    certificate = Certificate(certified, tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
    outbound = Outbound(private_hosts=("id.example",), resolve=resolver("127.0.0.1"))
    async with raw_http(OK, tls=certificate.server_side()) as server:
        host = f"id.example:{server.port}"
        asked = outbound.get_json(f"https://{host}/", host=host)
        if trusted:
            assert await asked == {"a": 1}
        else:
            with pytest.raises(OutboundFailed, match="cannot be reached"):
                await asked

        assert bool(server.requests) == trusted
        assert server.names[:1] in ([], ["id.example"])


async def test_errors_do_not_quote_the_secret() -> None:
    """Neither the form nor the secret is in the text of an error."""
    async with raw_http(b"") as server:
        with pytest.raises(OutboundFailed) as failure:
            await Outbound().post_form(
                server.url,
                {"code": "hidden-code"},
                host=server.host,
                auth=("us", SecretStr("hidden-secret")),
            )

    assert "hidden" not in str(failure.value)
    assert failure.value.__suppress_context__
