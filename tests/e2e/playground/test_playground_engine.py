"""The playground's panels that show the engine: a race of samplers, and what it does now."""

import re

import httpx
import pytest
from playground_page import faults, overflow, visit
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.needs("chromium")


def test_four_samplers_share_their_calls(page: Page, address: str) -> None:
    visit(page, address, "race")
    page.get_by_label("Images", exact=True).fill("4")
    page.get_by_label("Evaluations for each image").fill("31")
    with page.expect_response(re.compile("/metrics")):
        page.get_by_role("button", name="Start").click()
    for name in ("ddpm", "ddim", "dpm-2m", "rtk-mala"):
        lane = page.get_by_role("region", name=name, exact=True)
        expect(lane.get_by_role("img", name=re.compile(f"Image . by {name}"))).to_have_count(4)
        expect(lane).to_contain_text("31 evaluations")
    tile = page.get_by_text("rows in a network call")
    expect(tile).to_be_visible()
    text = page.locator(".figure-number", has_text="rows in a network call").inner_text()
    # One request alone has 4 rows; calls that hold more have those of others in them.
    assert float(text.split()[0]) > 4
    expect(page.locator(".figure-number", has_text="calls for 496 evaluations")).to_be_visible()
    assert faults(page) == []


def test_two_to_four_samplers(page: Page, address: str) -> None:
    visit(page, address, "race")
    start = page.get_by_role("button", name="Start")
    expect(page.get_by_label("rtk-uld")).to_be_disabled()
    for name in ("ddpm", "ddim", "dpm-2m"):
        page.get_by_label(name, exact=True).uncheck()
    expect(start).to_be_disabled()
    page.get_by_label("rtk-uld").check()
    expect(start).to_be_enabled()
    page.get_by_label("Evaluations for each image").fill("2")
    start.click()
    expect(page.get_by_text("the budget pays for no step")).to_be_visible()


def test_the_engine_is_seen_at_work(page: Page, address: str) -> None:
    visit(page, address, "live")
    expect(page.get_by_text("No rows are inside the engine")).to_be_visible()
    wanted = {"model": "digits", "count": 32, "solver": {"name": "ddpm", "steps": 1000}}
    job = httpx.post(f"{address}/v1/jobs", json={"kind": "samples", "request": wanted})
    table = page.get_by_role("table", name="Rows by lane")
    expect(table.get_by_role("row", name=re.compile("digits ddpm"))).to_contain_text("32")
    expect(page.get_by_text("Where the time of ticks goes")).to_be_visible()
    expect(page.locator(".legend", has_text="network")).to_be_visible()
    expect(page.locator(".figure-number", has_text="jobs run")).to_contain_text("1")
    assert faults(page) == []
    httpx.delete(f"{address}{job.headers['location']}")
    expect(page.get_by_text("No rows are inside the engine")).to_be_visible()
    # Who leaves the panel asks no more.
    page.get_by_role("link", name="Race").click()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(2500)
    assert [url for url in asked if url.endswith("/metrics")] == []


@pytest.mark.parametrize("panel", ["race", "live"])
def test_on_a_narrow_screen(page: Page, address: str, panel: str) -> None:
    page.set_viewport_size({"width": 360, "height": 640})
    visit(page, address, panel)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert overflow(page) <= 0
