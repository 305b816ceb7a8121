"""The console in a real browser: by keys, at both widths, in both schemes, without a complaint."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Window, opened
from tests.http.live import Live
from tests.http.person import PASSWORD, a_person, a_web_client

LOGIN = "desk-auditor"
PAGES = {
    "overview": "/console",
    "search": "/console/search",
    "search-narrowed": "/console/search?topic=grant.denied&outcome=failure",
    "search-empty": "/console/search?subject=nobody",
    "entry": "/console/events/1",
    "clients": "/console/clients",
    "clients-empty": "/console/clients?q=nothing-like-it",
    "client": "/console/clients/desk-shop",
    "activity": "/console/activity?window=1h",
    "reports": "/console/reports",
    "report": "/console/reports/client-inventory?run=1",
    "token": "",
    "family": "",
}
# What an audit of accessibility would find first: names, labels, headings, contrast of text.
_FINDINGS = """() => {
  const found = [];
  const named = (one) => (one.getAttribute("aria-label") || one.innerText || one.title || "").trim()
    || (one.labels && one.labels.length) || one.getAttribute("aria-labelledby");
  document.querySelectorAll("a[href], button, input:not([type=hidden]), select").forEach((one) => {
    if (one.offsetParent !== null && !named(one)) found.push(`no name: ${one.outerHTML}`);
  });
  if (document.querySelectorAll("h1").length !== 1) found.push("not one h1");
  document.querySelectorAll("main table").forEach((table) => {
    if (!table.caption && !table.closest(".u-legend")) found.push("table without caption");
    table.querySelectorAll("th").forEach((th) => {
      if (!th.scope && !th.closest(".u-legend")) found.push("th without scope");
    });
  });
  const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
  if (new Set(ids).size !== ids.length) found.push("an id twice");
  const light = (text) => {
    const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map((part) => {
      const value = part / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!/, 0\\)$/.test(colour) && colour !== "transparent") return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const texts = "p, dt, dd, td, th, a, label, button, summary, h1, h2, span, code";
  document.querySelectorAll(texts).forEach((one) => {
    const text = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!text || one.offsetParent === null || one.closest(".unseen, .fresh")) return;
    const [a, b] = [light(getComputedStyle(one).color), light(ground(one))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const said = one.outerHTML.slice(0, 80);
    if (contrast < 4.5) found.push(`contrast ${contrast.toFixed(2)}: ${said}`);
  });
  return found;
}"""

_ASKED_AGAIN = """() => new Promise((done) => document.body.addEventListener(
  "htmx:beforeRequest", (event) => queueMicrotask(() => done(event.defaultPrevented)), {once: true}
))"""


@pytest.fixture(scope="module")
def pages(site: Live) -> dict[str, str]:
    """Something to look at: a person's family that was reused, and the pages of it."""
    a_person(site, LOGIN, roles=("auditor",))
    shop = a_web_client(site, "desk-shop", name="<script>alert(1)</script>")
    tokens = shop.tokens_from(a_person(site, "desk-buyer"))
    shop.refresh(shop.refresh(tokens["refresh_token"]).json()["refresh_token"])
    shop.refresh(tokens["refresh_token"])
    site.http.patch(
        "/admin/clients/desk-shop", headers=site.bearer(), json={"scopes": ["openid", "user"]}
    )
    site.ask_token(scope="nonsense")
    (reused,) = site.audit(topic="family.reuse_detected", client_id="desk-shop")
    (issued, *_) = site.audit(topic="token.issued", client_id="desk-shop")
    return {
        **PAGES,
        "token": f"/console/tokens/{issued['jti']}",
        "family": f"/console/families/{reused['family_id']}",
    }


def log_in(window: Window, path: str = "/console") -> Page:
    """Open a page of the console, and log in on the way."""
    page = window.page
    window.go(path)
    page.get_by_label("Login name").fill(LOGIN)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
    page.wait_for_load_state()
    allow = page.get_by_role("button", name="Allow", exact=True)
    if allow.count():
        allow.click()
    page.get_by_role("link", name="Audit console").wait_for()
    return page


@pytest.fixture
def window(browser: Browser, site: Live, pages: dict[str, str]) -> Iterator[Window]:
    """A browser that is logged in to the console; nothing may be complained about."""
    with opened(browser, site) as one:
        log_in(one)
        yield one


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_page_fits_and_can_be_read(
    browser: Browser, site: Live, pages: dict[str, str], tmp_path: Path, dark: bool
) -> None:
    """Each page at both widths: nothing wider than the screen, text with contrast, all named."""
    with opened(browser, site, dark=dark) as one:
        page = log_in(one)
        for name, path in pages.items():
            for width in (1280, 390):
                page.set_viewport_size({"width": width, "height": 900})
                one.go(path)
                page.screenshot(path=tmp_path / f"{name}-{width}.png", full_page=True)
                wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")

                assert wide <= 0, f"{name} is {wide} pixels wider than {width}"
                assert page.evaluate(_FINDINGS) == [], f"{name} at {width}"


def test_login_returns_to_the_page(browser: Browser, site: Live, pages: dict[str, str]) -> None:
    """Who opens a page without a login is on that page after it."""
    with opened(browser, site) as one:
        page = log_in(one, "/console/search?client_id=desk-shop")

        assert page.url.endswith("/console/search?client_id=desk-shop")
        expect(page.get_by_label("Client", exact=True)).to_have_value("desk-shop")


def test_keys(window: Window) -> None:
    """By keys alone: find, walk through entries, raw JSON and back, open, help."""
    page = window.page
    page.keyboard.press("ArrowDown")
    first = page.locator(".entry").first
    expect(first.locator(".position a")).to_be_focused()
    page.keyboard.press("ArrowDown")
    second = page.locator(".entry").nth(1)
    expect(second.locator(".position a")).to_be_focused()
    page.keyboard.press("j")
    expect(second.locator("pre")).to_be_visible()
    assert '"position"' in (second.locator("pre").text_content() or "")
    page.keyboard.press("j")
    expect(second.locator("pre")).to_be_hidden()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("desk-shop/?j")  # letters are letters in a field
    expect(page.get_by_role("searchbox")).to_have_value("desk-shop/?j")
    page.get_by_role("searchbox").fill("desk-shop")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="desk-shop")).to_be_visible()


def test_keys_can_be_turned_off(window: Window) -> None:
    """WCAG 2.2, 2.1.4: keys of one letter can be turned off, and stay off."""
    page = window.page
    page.get_by_role("button", name="Keyboard shortcuts").click()
    page.get_by_label("Keys of one letter are on").uncheck()
    page.keyboard.press("Escape")
    page.reload()
    page.keyboard.press("?")

    expect(page.get_by_role("dialog")).to_be_hidden()


def test_skip_link(window: Window) -> None:
    """The first stop of the tab key leads past the navigation."""
    page = window.page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")

    assert page.evaluate("document.activeElement.closest('main') !== null")


def test_live_log(window: Window, site: Live) -> None:
    """What is recorded meanwhile appears by itself; not while the log is paused."""
    page = window.page
    page.get_by_role("button", name="Pause").click()
    site.token()
    newest = str(site.audit(limit=1)[0]["position"])
    link = page.get_by_role("link", name=newest, exact=True)
    assert page.evaluate(_ASKED_AGAIN) is True  # and was held back
    assert link.count() == 0
    page.get_by_role("button", name="Go on").click()

    expect(link).to_be_visible(timeout=15_000)


def test_live_log_after_the_login_ended(window: Window, site: Live) -> None:
    """Where the login ends elsewhere, the page sends its person to log in, by itself."""
    page = window.page
    window.context.clear_cookies()

    expect(page.get_by_label("Login name")).to_be_visible(timeout=20_000)


def test_slider(window: Window) -> None:
    """The slider goes through the versions of a client, by keys, and keeps the focus."""
    page = window.page
    window.go("/console/clients/desk-shop")
    slider = page.get_by_role("slider")
    slider.focus()
    page.keyboard.press("Home")
    expect(page.get_by_role("heading", name="Configuration as of version 1")).to_be_visible()
    expect(slider).to_be_focused()
    expect(slider).to_have_attribute("aria-valuetext", re.compile("^version 1 of"))
    page.keyboard.press("End")

    expect(page.get_by_role("heading", name="Configuration at present")).to_be_visible()
    expect(page.locator("tr.changed")).to_have_count(1)


def test_charts_are_drawn(window: Window) -> None:
    """Both charts are there, as wide as their cards."""
    page = window.page
    window.go("/console/activity?window=1h")

    expect(page.locator(".chart canvas")).to_have_count(2)


def test_download(window: Window) -> None:
    """A report is downloaded as a file of its own name."""
    page = window.page
    window.go("/console/reports/client-inventory?run=1")
    with page.expect_download() as started:
        page.get_by_role("link", name="CSV").click()

    assert started.value.suggested_filename == "client-inventory.csv"
    assert "desk-shop" in Path(started.value.path()).read_text()


def test_logout(window: Window) -> None:
    """One press logs out of the console and of the authorization server."""
    page = window.page
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("heading", name="You are logged out").wait_for()
    window.go("/console")

    expect(page.get_by_label("Login name")).to_be_visible()


def test_without_script(browser: Browser, site: Live, pages: dict[str, str]) -> None:
    """Everything but the live log, the keys and the charts works without a script."""
    with opened(browser, site, script=False) as one:
        page = log_in(one)
        page.get_by_role("link", name="Search").click()
        page.get_by_label("Client", exact=True).fill("desk-shop")
        page.get_by_role("button", name="Search", exact=True).click()
        page.locator(".entry .position a").first.click()
        expect(page.get_by_role("heading", name="Raw JSON")).to_be_visible()
        one.go("/console/clients/desk-shop?version=1")
        expect(page.get_by_role("button", name="Show")).to_be_visible()


def test_person_without_role(browser: Browser, site: Live, pages: dict[str, str]) -> None:
    """Who may not read the audit trail is told so, and can log in as somebody else."""
    with opened(browser, site) as one:
        page = one.page
        one.go("/console")
        page.get_by_label("Login name").fill("desk-buyer")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Log in", exact=True).click()
        page.get_by_role("button", name="Allow", exact=True).click()
        expect(page.get_by_role("heading", name="No access")).to_be_visible()
        one.picture("console-no-access")
        page.get_by_role("link", name="Log in as somebody else").click()

        expect(page.get_by_label("Login name")).to_be_visible()
