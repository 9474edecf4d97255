"""The studio against other pages in the same browser, and against hostile names."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from studio_page import Studio, make_files, make_folders, studio, tab

# Each tries to change the project, or to read it, from a page of another origin; the answer is
# whatever it got hold of. `at` is the studio's address.
POST = "fetch(at + '/api/classes', {method: 'POST', body: '{\"name\": \"evil\"}'"
ATTACKS = {
    "plain post": POST + ", mode: 'no-cors', headers: {'Content-Type': 'text/plain'}})",
    "with cookies": POST + ", mode: 'no-cors', credentials: 'include'})",
    "with the mark": POST + ", credentials: 'include', headers: {'X-Headstart': 'studio'}})",
    "as JSON": POST + ", credentials: 'include', headers: {'Content-Type': 'application/json'}})",
    "beacon": "navigator.sendBeacon(at + '/api/classes', '{\"name\": \"evil\"}')",
    "delete": (
        "fetch(at + '/api/classes/delete', {method: 'POST', mode: 'no-cors', "
        "credentials: 'include', body: '{\"name\": \"roses\"}'})"
    ),
    "form": (
        "const form = document.createElement('form'), field = document.createElement('input'), "
        "frame = document.createElement('iframe');"
        "frame.name = 'away'; form.target = 'away'; form.method = 'post'; "
        "form.enctype = 'text/plain'; form.action = at + '/api/classes'; "
        'field.name = \'{"name": "evil", "x": "\'; field.value = \'"}\'; '
        "form.append(field); document.body.append(frame, form); form.submit();"
    ),
    "upload": (
        "const data = new FormData(); data.append('files', new Blob([picture]), 'evil.gif');"
        "return fetch(at + '/api/images?class=evil', "
        "{method: 'POST', mode: 'no-cors', credentials: 'include', body: data})"
    ),
    "reading": (
        "return fetch(at + '/api/project', {credentials: 'include'}).then((found) => found.text())"
    ),
    "script": (
        "return new Promise((done) => {const script = document.createElement('script');"
        "script.onload = () => done('loaded'); script.onerror = () => done('');"
        "script.src = at + '/api/project'; document.body.append(script);})"
    ),
    "frame": (
        "return new Promise((done) => {const frame = document.createElement('iframe');"
        "frame.onload = () => { try { done(frame.contentDocument.body.innerText); } "
        "catch { done(''); } }; frame.src = at + '/'; document.body.append(frame);})"
    ),
    "window": (
        "const other = window.open(at + '/#collect');"
        "return new Promise((done) => setTimeout(() => {let found = ''; "
        "try { found = other.document.body.innerText; } catch {} done(found);}, 700))"
    ),
    "events": (
        "return new Promise((done) => {const source = new EventSource(at + '/api/events', "
        "{withCredentials: true}); source.onmessage = source.onopen = () => done('heard');"
        "source.onerror = () => done('');})"
    ),
}
GIF = (
    "const picture = Uint8Array.from(atob("
    "'R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs='), (one) => one.charCodeAt(0));"
)
HOSTILE = (
    '<img src=x onerror="window.owned=1">',
    "<script>window.owned=1</script>",
    "\"><svg onload='window.owned=1'>",
    "javascript:window.owned=1",
    "{{owned}} ${owned} &lt;b&gt;",
)


class _Elsewhere(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!DOCTYPE html><title>elsewhere</title><body>")

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[int]:
    """The port of another server on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere)
    runner = threading.Thread(target=server.serve_forever)
    runner.start()
    yield server.server_address[1]
    server.shutdown()
    runner.join()
    server.server_close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    folder = make_folders(tmp_path_factory.mktemp("safe") / "project", 3)
    with studio(folder) as found:
        yield found


def inside(folder: Path) -> list[str]:
    shown = [one for one in folder.rglob("*") if ".headstart" not in one.parts]
    return sorted(str(one.relative_to(folder)) for one in shown)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_another_page_changes_and_reads_nothing(
    running: Any, served: Studio, elsewhere: int, host: str
) -> None:
    before = inside(served.folder)
    with tab(running, served.link) as page:  # the browser has the cookie from here on
        other = page.page.context.new_page()
        other.goto(f"http://{host}:{elsewhere}/")
        got = {name: other.evaluate(attempt(code, served)) for name, code in ATTACKS.items()}
        other.wait_for_timeout(300)
        assert {name for name, text in got.items() if "roses" in text} == set()
        assert not {"loaded", "heard"} & set(got.values())
        assert inside(served.folder) == before
        page.page.reload()
        page.page.wait_for_selector("html[data-ready=yes]")
        assert set(page.counts()) == {"All images", "daisies", "roses"}


def attempt(code: str, served: Studio) -> str:
    """A script that tries one attack and gives what it got hold of as text."""
    returned = code if "return" in code or ";" in code else f"return {code}"
    body = f"{GIF} const at = {json.dumps(served.origin)}; {returned}"
    return (
        f"(async () => {{ try {{ return String(await (async () => {{ {body} }})()); }} "
        "catch (error) { return ''; } })()"
    )


def test_the_same_requests_from_the_page_itself_would_work(running: Any, served: Studio) -> None:
    with tab(running, served.link) as page:
        headers = "{'X-Headstart': 'studio', 'Content-Type': 'application/json'}"
        own = f"{POST}, headers: {headers}}}).then((one) => one.status)"
        assert page.page.evaluate(f"(() => {{ const at = ''; return {own}; }})()") == 200
        page.shows(".classes", "evil")
        page.choose_class("evil")
        page.page.click("text=Delete class")
        page.page.wait_for_selector(".classes >> text=evil", state="detached")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose classes and files have names that want to be markup."""
    folder = tmp_path_factory.mktemp("hostile") / "project"
    for place, name in enumerate(HOSTILE):
        plain = name.replace("/", "_")
        for path in make_files(folder / plain, 14, (place + 0.5) / len(HOSTILE)):
            path.rename(path.with_name(f"{plain}{path.name}"))
    return folder


def unharmed(page: Any) -> None:
    """Nothing ran, and nothing became an element either."""
    assert page.messages == []
    assert page.page.evaluate("window.owned === undefined")
    assert page.page.locator("img[src=x], svg[onload], main script, [onerror]").count() == 0


def test_no_name_of_a_class_or_file_runs(running: Any, hostile: Path, tmp_path: Path) -> None:
    broken = tmp_path / f"{HOSTILE[0]}.jpg"
    broken.write_bytes(b"no image")
    with studio(hostile) as served, tab(running, served.link) as page:
        page.shows(".classes", HOSTILE[0])
        page.page.locator(".classes button").nth(1).click()
        page.pick([broken])
        page.page.click(".upload summary")
        page.page.locator(".tile:visible").first.click()
        page.page.click("text=View")
        page.page.wait_for_selector("dialog img")
        unharmed(page)
        page.page.keyboard.press("Escape")
        page.page.keyboard.press("Delete")
        page.shows(".toast", "Deleted 1 image.")
        page.turn_to("train")
        page.page.click(".advanced summary")
        page.page.locator("option[value=tiny]").wait_for(state="attached")
        page.page.select_option(".fields select >> nth=0", "tiny")
        page.page.click(".train-form button")
        page.page.wait_for_selector(".job[data-state=done]", timeout=90_000)
        page.turn_to("understand")
        page.page.locator(".matrix td button").first.click()
        page.page.wait_for_selector(".cell-images li")
        unharmed(page)
        page.turn_to("try")
        page.page.set_input_files("#try-file", str(next(hostile.rglob("*0003.jpg"))))
        page.shows(".probabilities", HOSTILE[0])
        for view in ("ship", "collect"):
            page.turn_to(view)
            page.page.wait_for_timeout(300)
        unharmed(page)
