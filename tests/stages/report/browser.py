"""Pages in a real Chromium without a window: the machine's own, driven by Playwright."""

import os
import shutil

import pytest
from playwright.sync_api import expect, sync_playwright

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Window:
    """A page that is open in Chromium: `page` is Playwright's; `said` what the console told, `asked` every address that it asked for."""

    def __init__(self, context, path):
        self.page = context.new_page()
        self.said, self.asked = [], []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: (self.said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        context.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())

    def told(self, script, *arguments):
        """The value of a JavaScript function in the page."""
        return self.page.evaluate(script, *arguments)

    def select(self, name, label):
        """Choose an option of the filter by its text."""
        self.page.locator(f"select[name={name}]").first.select_option(label=label)

    def shown(self):
        """Names of the pictures that are shown."""
        return [text.split()[0] for text in self.page.locator(".gallery figure:visible figcaption").all_text_contents()]

    def wait_for_status(self, text):
        """Wait until the filter says so of how many pictures fit."""
        expect(self.page.locator(".filter output").first).to_have_text(text)


def chromium():
    """The path of Chromium; without it the test is skipped, and under CI fails."""
    found = os.environ.get("EDGEMILL_CHROMIUM") or shutil.which("chromium")
    if not found:
        reason = "needs Chromium: Debian's package chromium, or its program in EDGEMILL_CHROMIUM"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return found


def launched():
    """A context manager that starts Chromium with a profile of its own; gives Playwright's browser."""
    return _Launched(chromium())


class _Launched:
    def __init__(self, program):
        self._program = program

    def __enter__(self):
        self._playwright = sync_playwright().start()
        return self._playwright.chromium.launch(executable_path=self._program, args=ARGUMENTS)

    def __exit__(self, *_):
        self._playwright.stop()
