"""The dashboard in a real browser, on a real cluster: looked at, moved by hand, and left alone when a node dies.

Chromium without a display, driven through the port that ``jsrp lab dashboard`` opens. What the page says is compared with
what ``jsrp`` says. Pictures of it land in build/screenshots, to be looked at.
"""

import contextlib
import importlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jsrpd.lab import demo, faults, topology
from jsrpd.lab.certificate import self_signed
from jsrpd.lab.topology import NODES, Lab, Settings, run, wait_until, with_commands
from tests.peers import library

SETTINGS = Settings(interval_ms=100, threshold=3)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PICTURES = Path(__file__).parents[2] / "build/screenshots"
PATIENCE_MS = 20_000
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 800}
CONTRAST = Path(__file__).with_name("contrast.js")
MOVE, WHY = "[data-key=move1]", "[data-key=why1]"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    made = Lab(f"jw{os.getpid()}", tmp_path_factory.mktemp("lab") / "lab")
    try:
        topology.up(made, SETTINGS)
        demo.settle(made, "the start")
        yield made
    finally:
        topology.down(made)


@pytest.fixture(scope="module")
def ports(lab: Lab) -> Iterator[list[int]]:
    """Where ``jsrp lab dashboard`` serves node0 and node1."""
    first = free_ports()
    named = {"JSRPD_LAB_NAME": lab.name, "JSRPD_LAB_DIRECTORY": str(lab.directory.parent)}
    environment = {**with_commands(os.environ), **named}
    assert lab.directory.name == "lab"
    lab.directory.parent.joinpath(lab.name).symlink_to(lab.directory)
    serving = subprocess.Popen(
        [sys.executable, "-m", "jsrpd.cli.main", "lab", "dashboard", "--port", str(first)], env=environment, stdout=subprocess.PIPE
    )
    try:
        assert serving.stdout is not None
        for n, node in enumerate(NODES):
            assert serving.stdout.readline().decode() == f"{node}: http://localhost:{first + n}/\n"
        yield [first, first + 1]
    finally:
        serving.terminate()
        serving.wait()


def free_ports() -> int:
    """The first of two that are free one behind the other."""
    while True:
        with socket.socket() as one, socket.socket() as two, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
            two.bind(("127.0.0.1", port + 1))
            return port


@pytest.fixture(scope="module")
def chromium() -> Iterator[Callable[[str], Any]]:
    """Starts the browser, or a script that starts it somewhere else."""
    sys.path.append(str(library()))
    try:
        playwright = importlib.import_module("playwright.sync_api")
    finally:
        sys.path.pop()
    with playwright.sync_playwright() as driver:
        yield lambda path: driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])


@pytest.fixture(scope="module")
def program() -> str:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium on this machine; make test installs Debian's")
    return found


@pytest.fixture(scope="module")
def browser(chromium: Callable[[str], Any], program: str) -> Iterator[Any]:
    started = chromium(program)
    yield started
    started.close()


class Page:
    """A tab. What goes wrong in it is kept; where it may go is watched."""

    def __init__(self, browser: Any, port: int, size: dict[str, int] = WIDE, colours: str = "light") -> None:
        self.problems: list[str] = []
        self.asked: list[str] = []
        self.context = browser.new_context(viewport=size, color_scheme=colours)
        self.tab = self.context.new_page()
        self.tab.set_default_timeout(PATIENCE_MS)
        self.tab.on("pageerror", lambda error: self.problems.append(str(error)))
        self.tab.on("console", lambda message: self.problems.append(message.text) if message.type == "error" else None)
        self.tab.on("request", lambda request: self.asked.append(request.url))
        self.origin = f"http://localhost:{port}"
        self.tab.goto(f"{self.origin}/")
        self.tab.wait_for_selector("#live.on")
        self.tab.wait_for_selector(WHY)

    def see(self, selector: str, text: str = "") -> Any:
        """Wait until the first such element is there and has the text."""
        found = self.tab.locator(selector, has_text=text) if text else self.tab.locator(selector)
        found.first.wait_for()
        return found.first

    def owner(self) -> str:
        return str(self.tab.locator("tr[data-group='1'] td[data-label=Owner]").inner_text())

    def until_owner(self, node: str) -> None:
        self.see("tr[data-group='1'] td[data-label=Owner]", node)

    def picture(self, name: str, full: bool = True) -> None:
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.tab.evaluate("scrollTo(0, 0)")
        self.tab.screenshot(path=PICTURES / f"{name}.png", full_page=full)

    def close(self) -> None:
        self.context.close()


@pytest.fixture
def page(browser: Any, ports: list[int], lab: Lab) -> Iterator[Page]:
    """node0's page of a whole cluster."""
    faults.heal(lab)
    demo.settle(lab, "healing")
    made = Page(browser, ports[0])
    yield made
    made.close()


def test_a_failover_by_hand(page: Page, lab: Lab) -> None:
    """With the keyboard alone: find the group, read why, ask to move it, see what would happen, confirm."""
    before = topology.primary_node(lab)
    other = faults.peer_of(before)
    assert page.owner() == before
    page.see(".verdict.good")
    page.picture("whole")
    for key in ("j", "j", "Enter"):
        page.tab.keyboard.press(key)
    page.see("#why1", f"{before} owns redundancy group 1")
    page.tab.keyboard.press("m")
    page.see("#rehearsal li", "primary")
    page.picture("confirm", full=False)
    assert page.tab.evaluate("document.activeElement.id") == "move-no", "whoever hits Enter too early moves nothing"
    page.tab.keyboard.press("Escape")
    assert topology.primary_node(lab) == before
    page.tab.keyboard.press("m")
    page.see("#rehearsal li", "primary")
    page.tab.click("#move-yes")
    page.see(".toast", "Initiated manual failover for redundancy group 1")
    page.until_owner(other)
    wait_until(lambda: topology.primary_node(lab) == other, 10, "the failover")
    page.see("#events li", "Manual failover")
    page.see(".verdict.warn", f"Group 1 was moved by hand to {other}")
    page.picture("moved-by-hand")
    page.tab.click("[data-key=reset1]")
    page.see(".toast", "Successfully reset manual failover")
    page.see(".verdict.good")
    assert page.problems == []
    assert {url for url in page.asked if not url.startswith((page.origin, "data:"))} == set(), "nothing from elsewhere"


def test_a_node_dies(lab: Lab, browser: Any, ports: list[int]) -> None:
    """The survivor's page tells, by itself; the dead one's says that it is cut off, and is live again after the boot."""
    faults.heal(lab)
    demo.settle(lab, "healing")
    dying = topology.primary_node(lab)
    survivor = faults.peer_of(dying)
    pages = {node: Page(browser, port) for node, port in zip(NODES, ports, strict=True)}
    for one in pages.values():
        one.until_owner(dying)
    faults.inject(lab, "kill", dying)
    seen = pages[survivor]
    seen.until_owner(survivor)
    seen.see(".verdict.bad", f"{dying} is lost")
    seen.see("tr[data-group='1'] td[data-label=Reason]", "Only node present")
    assert seen.tab.locator(MOVE).is_disabled()
    seen.picture("lost")
    pages[dying].see("#live.off", "disconnected")
    faults.heal(lab)
    demo.settle(lab, "healing")
    pages[dying].see("#live.on")
    pages[dying].until_owner(survivor)
    seen.see("article.n0", "ready")
    seen.see(".verdict.good")
    for one in pages.values():
        one.close()


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_narrow_screens(browser: Any, ports: list[int], colours: str) -> None:
    """Nothing is cut off or has to be scrolled sideways, and what can be pressed is large enough for a finger."""
    page = Page(browser, ports[0], NARROW, colours)
    page.tab.click(WHY)
    page.see("#why1")
    assert page.tab.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    heights = page.tab.evaluate("[...document.querySelectorAll('main button')].map(one => one.getBoundingClientRect().height)")
    assert min(heights) >= 24
    page.picture(f"narrow-{colours}")
    page.close()


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_contrast(browser: Any, ports: list[int], colours: str) -> None:
    """Text can be read: at least 4.5 to 1 against what is behind it (WCAG 2.1, 1.4.3)."""
    page = Page(browser, ports[0], WIDE, colours)
    page.tab.click(WHY)
    page.see("#why1")
    page.picture(f"wide-{colours}")
    assert page.tab.evaluate(CONTRAST.read_text()) == []
    page.close()


@pytest.fixture
def inside_node0(lab: Lab, chromium: Callable[[str], Any], program: str, tmp_path: Path) -> Iterator[Any]:
    """A browser in node0's namespace, where REST is served over TLS as well."""
    certificate, key = self_signed(tmp_path)
    for node in NODES:
        file = lab.node_directory(node, "etc") / "jsrpd.conf"
        https = f"https {{ address 127.0.0.1; certificate {certificate}; private-key {key}; }}"
        file.write_text(f"{file.read_text()}\nsystem services rest {https}\n")
        daemon = [pid for pid, title in topology.processes(lab, node).items() if title == "jsrpd"]
        topology.signal_all(daemon, signal.SIGHUP)
    script = tmp_path / "chromium"
    script.write_text(f'#!/bin/sh\nexec ip netns exec {lab.namespace("node0")} {program} "$@"\n')
    script.chmod(0o755)
    started = chromium(str(script))
    yield started
    started.close()


def test_signing_in(lab: Lab, inside_node0: Any) -> None:
    """Over TLS: a token is asked for, a wrong one refused; a reader can move nothing; signed out, it asks again."""

    def token(access: str) -> str:
        words = f"request system api-token generate {access} access {access}".split()
        return run("jsrp", *words, env=lab.environment("node0")).strip()

    context = inside_node0.new_context(ignore_https_errors=True, viewport=WIDE)
    tab = context.new_page()
    tab.set_default_timeout(PATIENCE_MS)
    wait_until(lambda: reached(tab), PATIENCE_MS / 1000, "the page over TLS")
    for wrong_first, access, buttons in ((True, "read-only", 0), (False, "operator", 2)):
        tab.wait_for_selector("#login[open]")
        if wrong_first:
            tab.fill("#token", "jsrp_wrong")
            tab.keyboard.press("Enter")
            tab.locator("#login-problem", has_text="not known").wait_for()
        tab.fill("#token", token(access))
        tab.keyboard.press("Enter")
        tab.wait_for_selector("#live.on")
        tab.wait_for_selector(WHY)
        tab.wait_for_function("state.me !== null")
        assert tab.locator("[data-key^=move]").count() == buttons
        tab.reload()
        tab.wait_for_selector("#live.on")
        tab.click("#sign")
    tab.wait_for_selector("#login[open]")
    context.close()


def reached(tab: Any) -> bool:
    try:
        tab.goto("https://127.0.0.1:9470/")
    except Exception as error:  # Playwright's own kind; the interface is not there yet.
        assert "ERR_CONNECTION_REFUSED" in str(error), error
        return False
    return True


def test_what_not_every_cluster_has(page: Page) -> None:
    """An arbiter, and a log that lost something, have a place of their own, and none where there are none."""
    cards = ("arbitration", "log")
    assert [page.tab.locator(f"#{name}-card").is_visible() for name in cards] == [False, False]
    added = {
        "arbitration": {"kind": "witness", "held": False, "answers": False, "remaining_ns": 0},
        "log": [{"process": "gateway", "transport": "tls", "waiting": 1024, "dropped": 17}],
    }
    shown = page.tab.evaluate(
        """added => { const before = state.status; state.status = {...before, ...added}; draw();
        const said = ["arbitration", "log"].map(name => document.getElementById(`${name}-card`).innerText);
        state.status = before; draw(); return said; }""",
        added,
    )
    assert "Does not answer" in shown[0]
    assert "witness" in shown[0]
    assert "gateway, tls" in shown[1]
    assert "17 lost" in shown[1]
    assert page.problems == []


def test_what_is_shown_is_text(page: Page) -> None:
    """Names that look like markup stay names: the policy forbids what the page does not contain, and the page writes text."""
    assert page.tab.evaluate("(() => { const e = h('p', {}, '<img src=x onerror=alert(1)>'); return e.children.length; })()") == 0
    policy = page.tab.evaluate("fetch('/').then(answer => answer.headers.get('content-security-policy'))")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    plant = "const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s);"
    assert page.tab.evaluate(f"(() => {{ {plant} return window.ran; }})()") is None
    give_up = time.monotonic() + PATIENCE_MS / 1000
    while not any("Content Security Policy" in problem or "script-src" in problem for problem in page.problems):
        assert time.monotonic() < give_up
        page.tab.wait_for_timeout(50)
