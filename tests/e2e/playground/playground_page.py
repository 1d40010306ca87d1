"""What tests of the playground do with a page."""

import re
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Response, expect

DRAWN = "Drawn images"


def visit(page: Page, address: str, panel: str = "draw") -> None:
    """Open a panel."""
    page.goto(f"{address}/#{panel}")
    expect(page.get_by_role("status").first).to_contain_text(re.compile(r"\d models?"))


def draw(page: Page, count: int = 4, solver: str = "fast", seed: int = 7) -> dict[str, Any]:
    """Draw by the form, and return the answer."""
    page.get_by_label("Images", exact=True).fill(str(count))
    page.get_by_label("Seed", exact=True).fill(str(seed))
    page.get_by_label("Solver", exact=True).select_option(solver)
    with page.expect_response(is_result) as found:
        page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.get_by_role("list", name=DRAWN).get_by_role("img")).to_have_count(count)
    answer: dict[str, Any] = found.value.json()
    return answer


def is_result(response: Response) -> bool:
    """Return True for the result of a job."""
    return response.url.endswith("/result") and response.ok


def shown(page: Page) -> list[str]:
    """Return the drawn images, base64."""
    images = page.get_by_role("list", name=DRAWN).get_by_role("img")
    return [
        (image.get_attribute("src") or "").removeprefix("data:image/png;base64,")
        for image in images.all()
    ]


def faults(page: Page) -> list[str]:
    """Return what axe-core finds that is serious or critical, and colours that are hard to see."""
    found = Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {node['html']}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


def overflow(page: Page) -> int:
    """Return how many pixels the page is wider than its window."""
    wide: int = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return wide
