"""/docs in a real browser that reaches nothing but the service."""

import shutil
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Route, sync_playwright


@pytest.mark.needs("chromium")
def test_the_page_shows_every_operation_without_the_internet(address: str) -> None:
    host, foreign, faults = urlsplit(address).netloc, [], []

    def answer(route: Route) -> None:
        if urlsplit(route.request.url).netloc == host:
            route.continue_()
        else:
            foreign.append(route.request.url)
            route.abort()

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
        page.route(lambda url: not url.startswith(("data:", "blob:")), answer)
        page.goto(f"{address}/docs")
        page.wait_for_selector("#operations-samples-create_samples", timeout=60_000)
        operations = page.locator(".opblock").count()
        page.click("#operations-samples-create_samples .opblock-summary-control")
        page.wait_for_selector("#operations-samples-create_samples .opblock-body")
        shown = page.inner_text("#operations-samples-create_samples")
        browser.close()
    assert foreign == []
    assert faults == []
    assert operations > 20
    assert '"model": "digits"' in shown
    assert "additionalProp" not in shown
