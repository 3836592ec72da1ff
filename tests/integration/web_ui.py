"""The Temporal Web UI in a real browser: Chromium as the machine has it, on a desk and on a phone."""

from __future__ import annotations

import os
import shutil
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import pytest
from playwright.async_api import Error, FloatRect, async_playwright, expect

from etcd_handoff.lab import wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, BrowserContext, Locator, Page
    from temporalio.client import WorkflowHandle

PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome")
QUIET: Final = (
    "--no-sandbox",  # containers let root have no sandbox
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
)
DESK, PHONE = (1280, 800), (390, 844)
"""Width and height of a window, in CSS pixels."""
SHOW_STATES: Final = """
    localStorage.setItem("namespace-workflow-table-columns", JSON.stringify({default: [
        {label: "Status"}, {label: "Workflow ID"}, {label: "EtcdMember"}, {label: "HandoffState"}, {label: "Start"}]}))
"""
"""The columns that docs/operations.md advises; the Web UI keeps them in the browser."""
SECONDS: Final = 90.0
RELOAD_AFTER: Final = 40
"""Looks, four a second: a slow machine takes seconds to load a page."""
TALL: Final = 1600
FADES_MS: Final = 500
"""How long the Web UI fades what comes and goes, with some time to spare: no event tells of it."""
SCREENSHOTS: Final = "SCREENSHOTS"
"""Environment variable: the folder where pictures are put, which the documentation shows; none are taken without."""


def path_of_chromium() -> str:
    """The path of Chromium; empty where there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS)), "")


def require_chromium() -> str:
    """The path of Chromium; without one the test is skipped with the reason, or fails in CI."""
    if program := path_of_chromium():
        return program
    reason = "NOT TESTED: nobody looks at the Web UI here: there is no Chromium; run `apt-get install chromium`"
    if os.environ.get("CI"):
        pytest.fail(f"in CI this must run: {reason}")
    pytest.skip(reason)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser without a profile."""
    program = require_chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=list(QUIET))
        try:
            yield browser
        finally:
            await browser.close()


class WebUi:
    """The Web UI of a lab.

    Args:
        browser: The browser.
        url: Where it is.
    """

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser, self._url = browser, url
        self._contexts: dict[tuple[int, int], BrowserContext] = {}

    async def open(self, path: str, *, window: tuple[int, int] = DESK) -> Page:
        """A page in a window of its own; the path begins with a slash."""
        if window not in self._contexts:  # pages of one context load the program once
            width, height = window
            self._contexts[window] = await self._browser.new_context(viewport={"width": width, "height": height})
            self._contexts[window].set_default_timeout(SECONDS * 1000)
            await self._contexts[window].add_init_script(SHOW_STATES)
        page = await self._contexts[window].new_page()
        await page.goto(self._url + path)
        return page

    async def workflow(self, handle: WorkflowHandle[object, object], tab: str, **options: tuple[int, int]) -> Page:
        """A tab of a workflow's page: `timeline`, `user-metadata`."""
        run = (await handle.describe()).run_id
        return await self.open(f"/namespaces/default/workflows/{quote(handle.id, safe='')}/{run}/{tab}", **options)


async def text_of(page: Page) -> str:
    """All that stands on the page, in its frames too: the Web UI puts Markdown into such."""
    texts = []
    for frame in page.frames:
        try:
            texts.append(await frame.locator("body").inner_text())
        except Error:  # it has just been replaced
            texts.append("")
    return "\n".join(texts)


async def shows(page: Page, *words: str) -> str:
    """The text of the page, once it has all these words; it is loaded again meanwhile."""
    seen = [""]

    async def all_words() -> bool:
        for _ in range(RELOAD_AFTER):
            seen.append(await text_of(page))
            if all(word in seen[-1] for word in words):
                return True
            await page.wait_for_timeout(250)
        await page.reload()
        return False

    await wait_until(all_words, f"the page shows {words}", SECONDS, lambda: f"it shows {seen[-1]}")
    return seen[-1]


async def markdown(page: Page, heading: str) -> Locator:
    """The Markdown below the heading of a panel, rendered, in its frame."""
    for frame in page.frames:
        body = frame.locator("body")
        if heading in await body.inner_text() and frame != page.main_frame:
            return body
    pytest.fail(f"no frame has {heading}: {await text_of(page)}")


async def send_update(page: Page, name: str, content: str, picture: str = "") -> None:
    """Send an update from the dialog of the workflow's page, as a person does.

    Args:
        page: Any tab of the workflow.
        name: The update, as the dialog lists it.
        content: Its input, as JSON.
        picture: Name of the picture that is taken before it is sent.
    """
    await page.get_by_role("button", name="More Actions").filter(visible=True).first.click()
    await page.get_by_role("menuitem", name="Send an Update").filter(visible=True).first.click()
    dialog = page.locator("dialog[open], [role=dialog]").first
    await dialog.locator("button", has=page.locator("#update-select")).first.click()
    await page.get_by_role("option", name=name).click()
    await dialog.locator(".cm-content[contenteditable=true]").first.fill(content)
    await picture_of(page, picture, dialog)
    await dialog.get_by_test_id("confirm-modal-button").click()
    await expect(dialog).to_be_hidden(timeout=SECONDS * 1000)


async def fits(page: Page) -> bool:
    """Nothing makes the page wider than its window: nobody scrolls sideways on a phone."""
    return bool(await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


async def picture_of(
    page: Page, name: str, part: Locator | None = None, *, size: tuple[float, float] | None = None
) -> None:
    """A picture for the documentation, where some are wanted.

    Args:
        page: The page.
        name: The picture's name; none is taken without.
        part: What of the page; left out, what the window shows.
        size: Width and height from the part's corner on, in CSS pixels; left out, the part's own.
    """
    folder, window = os.environ.get(SCREENSHOTS), page.viewport_size
    if not folder or not name or window is None:
        return
    path = Path(folder) / f"{name}.png"
    if part is None:
        await page.wait_for_timeout(FADES_MS)
        await page.screenshot(path=path)
        return
    await page.set_viewport_size({"width": window["width"], "height": TALL})  # no part has to be scrolled into view
    await page.wait_for_timeout(FADES_MS)
    box = await part.bounding_box()
    assert box is not None, f"what {name} shows is not on the page"
    width, height = size or (box["width"], box["height"])
    await page.screenshot(path=path, clip=FloatRect(x=box["x"], y=box["y"], width=width, height=height))
    await page.set_viewport_size(window)
