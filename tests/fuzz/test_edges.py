"""What reaches the service before anybody is authenticated: forms, headers, addresses, queries."""

import base64
from urllib.parse import quote, unquote_to_bytes, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.client_certificate import client_certificate
from api.client_credentials_header import presented_credentials
from api.client_network import address_of, network_of
from api.forms import Form, parse_form, require_form_type
from api.request_reading import client_address, read_headers, trace_of
from application.authorization.request import checked, client_and_redirect_uri, shown_state
from application.authorization_details import DetailTypes
from application.certificates import UnreadableCertificate
from application.errors import InvalidClient, InvalidRequest, OAuthError
from domain.client_configuration import AUTHORIZATION_CODE, Redirects
from domain.redirect_uri import match, problem_with
from tests.application.service import FakeService
from tests.application.test_certificates import OWN, a_request, by_rfc9440, settings
from tests.builders import POLICY, a_client
from tests.fuzz.mutations import damaged

BODY = urlencode(
    [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("scope", "user mcp"),
        ("resource", "https://a.example/ä"),
        ("resource", "https://b.example"),
    ]
)
BASIC = "Basic " + base64.b64encode(b"client%3A1:s%C3%A4cret+1").decode()
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ADDRESSES = st.ip_addresses().map(str) | st.text(max_size=12)
REGISTERED = ("https://client.example/callback", "http://127.0.0.1/callback", "com.example.app:/cb")
REQUEST = {
    "client_id": "web",
    "redirect_uri": REGISTERED[0],
    "response_type": "code",
    "response_mode": "query",
    "scope": "user",
    "state": "abc",
    "nonce": "def",
    "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    "code_challenge_method": "S256",
    "prompt": "login consent",
    "max_age": "300",
    "dpop_jkt": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    "authorization_details": '[{"type":"payment","amount":12}]',
}
TYPES = DetailTypes({"payment": {"type": "object"}})


@given(body=damaged(BODY).map(lambda text: text.encode("utf-8", "replace")) | st.binary())
def test_forms(body: bytes) -> None:
    """A body is taken or InvalidRequest; what is taken is what every other parser reads of it."""
    for of_a_page in (False, True):
        try:
            form = parse_form(body, of_a_page=of_a_page)
        except InvalidRequest:
            continue
        words = [pair.partition(b"=") for pair in body.split(b"&") if pair]
        theirs = [(_plain(name), _plain(value)) for name, _, value in words]
        for name, value in form.single().items():
            assert [found for named, found in theirs if named == name and found] == [value]


def _plain(word: bytes) -> str:
    return unquote_to_bytes(word.replace(b"+", b" ")).decode()


@given(value=damaged("application/x-www-form-urlencoded; charset=utf-8"))
def test_media_types(value: str) -> None:
    """A Content-Type is that of a form, or InvalidRequest."""
    try:
        require_form_type(value.encode("latin-1", "replace"))
    except InvalidRequest:
        return

    assert value.lower().strip().startswith("application/x-www-form-urlencoded")


@given(
    header=damaged(BASIC).map(lambda text: text.encode("utf-8", "replace")) | st.binary(),
    client_id=st.none() | st.text(min_size=1, max_size=4),
)
def test_authorization_headers(header: bytes, client_id: str | None) -> None:
    """Credentials are read, and then by Basic alone, or refused."""
    form = Form({} if client_id is None else {"client_id": (client_id,)})
    try:
        presented = presented_credentials(header, form)
    except (InvalidClient, InvalidRequest):
        return

    assert presented is not None
    assert presented.method == "client_secret_basic"
    assert client_id in (None, presented.client_id)


@given(value=damaged(TRACE) | st.just(TRACE))
def test_traces(value: str) -> None:
    """What is no trace of the W3C's is left out, and what is one is kept as it came."""
    found = trace_of(value.encode("utf-8", "replace"))

    assert found in ("", value)
    assert len(found) in (0, len(TRACE))


@given(hops=st.lists(ADDRESSES, max_size=5), peer=ADDRESSES)
def test_forwarded_addresses(hops: list[str], peer: str) -> None:
    """Whatever a stranger writes there, it is their own address that counts, in its one spelling;
    from a proxy, what it wrote last: printable, short, and fit to be counted by.
    """
    forwarded = ", ".join(hops).encode("utf-8", "replace")
    scope = {"type": "http", "client": (peer, 1), "headers": []}
    near = client_address(scope, forwarded_for=forwarded, trusted=())  # type: ignore[arg-type]
    behind = client_address(scope, forwarded_for=forwarded, trusted=(peer,))  # type: ignore[arg-type]

    own = address_of(peer)

    assert near == own
    assert behind == own or (behind.isprintable() and len(behind) <= 64)
    assert isinstance(network_of(behind), str)


@given(
    headers=st.lists(
        st.tuples(st.sampled_from([b"dpop", b"authorization", b"accept"]), st.binary(max_size=20)),
        max_size=5,
    )
)
def test_headers(headers: list[tuple[bytes, bytes]]) -> None:
    """Headers are read, or InvalidRequest where one may not come twice."""
    twice = [name for name, _ in headers].count(b"authorization") > 1
    try:
        read_headers({"headers": headers})  # type: ignore[arg-type]
    except InvalidRequest:
        assert twice
        return

    assert not twice


@pytest.mark.parametrize("form", ["rfc9440", "pem"])
@given(data=st.data())
def test_certificates_of_proxies(form: str, data: st.DataObject) -> None:
    """A certificate of a header is read as it is, or UnreadableCertificate: never another's."""
    good = by_rfc9440(OWN).decode() if form == "rfc9440" else quote(OWN.pem)
    value = data.draw(damaged(good)).encode("utf-8", "replace")
    known = settings(client_certificate_format=form)
    try:
        found = client_certificate(a_request((b"client-cert", value)), known)
    except UnreadableCertificate:
        return

    assert found is None or found.thumbprint == OWN.thumbprint or found.der != OWN.der


@given(der=st.data())
def test_certificates_with_damaged_bytes(der: st.DataObject) -> None:
    """Any byte of a certificate changed: it is another by its thumbprint, or unreadable."""
    raw = bytearray(OWN.der)
    for _ in range(der.draw(st.integers(1, 3))):
        raw[der.draw(st.integers(0, len(raw) - 1))] = der.draw(st.integers(0, 255))
    value = b":" + base64.b64encode(bytes(raw)) + b":"
    try:
        found = client_certificate(a_request((b"client-cert", value)), settings())
    except UnreadableCertificate:
        return

    assert found is not None
    assert (found.thumbprint == OWN.thumbprint) == (bytes(raw) == OWN.der)


@given(uri=st.sampled_from(REGISTERED).flatmap(damaged))
def test_redirect_uris(uri: str) -> None:
    """What was not registered gets no code: only the port of a loopback address may differ."""
    problem_with(uri)
    if match(uri, REGISTERED) and uri not in REGISTERED:
        assert uri.startswith("http://127.0.0.1:")
        assert uri.endswith("/callback")


@pytest.fixture(scope="module")
def web() -> FakeService:
    """A service with a client that people authorize."""
    service = FakeService()
    redirects = Redirects(redirect_uris=REGISTERED)
    facts = {"grant_types": (AUTHORIZATION_CODE,), "authorization_details_types": ("payment",)}
    service.log.record(a_client(client_id="web", redirects=redirects, **facts))
    return service


@given(name=st.sampled_from(sorted(REQUEST)), data=st.data())
def test_authorization_requests(web: FakeService, name: str, data: st.DataObject) -> None:
    """One parameter damaged: the request is checked, or an OAuthError, and the answer never goes
    where it was not registered to go.
    """
    odd = damaged(REQUEST[name]) | st.integers(0, 5000).map(lambda size: "0" * 12 + "9" * size)
    parameters = {**REQUEST, name: data.draw(odd)}
    shown_state(parameters)
    try:
        client, uri = client_and_redirect_uri(parameters, web.directory)
        assert uri in REGISTERED
        checked(parameters, (), client, uri, POLICY, TYPES)
    except OAuthError:
        return
