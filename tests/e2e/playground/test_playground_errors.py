"""What the playground says when the service refuses, is busy, or is away."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playground_page import DRAWN, draw, faults, visit
from playwright.sync_api import Page, Route, expect
from sample_pictures import write_digits
from tiny_zoo import write_checkpoint

from loadtests.local import running_service

pytestmark = pytest.mark.needs("chromium")

KEY = "correct-horse"
HOSTILE = "<b onmouseover=alert(1)>tiny</b>"
READY_WITHIN_S = 180


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service with a key, small bodies and few requests."""
    folder = tmp_path_factory.mktemp("zoo")
    (folder / "tiny").mkdir()
    write_checkpoint(folder / "tiny")
    serve = str(Path(sys.executable).with_name("mulan"))
    program = ("env", f"MULAN_API_KEYS={KEY}", serve, "serve")
    flags = ("--threads", "1", "--models", str(folder), "--max-body-bytes", "2048")
    limits = ("--request-rate", "4/10second")
    arguments = (*flags, *limits)
    with running_service(*arguments, program=program, ready_within_s=READY_WITHIN_S) as url:
        yield url


def test_a_key_is_asked_for_and_kept_in_memory_alone(page: Page, guarded: str) -> None:
    page.goto(guarded)
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("This service asks for a key")
    assert faults(page) == []
    page.get_by_label("API key", exact=True).fill("wrong")
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("does not know this key")
    page.get_by_label("API key", exact=True).fill(KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Draw 16 images")).to_be_visible()
    kept = page.evaluate(
        "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
    )
    assert KEY not in kept
    assert KEY not in page.url
    page.reload()
    expect(dialog).to_contain_text("This service asks for a key")
    page.keyboard.press("Escape")
    expect(page.get_by_role("alert")).to_contain_text("API key")


def test_more_requests_than_the_limit_wait_with_a_countdown(page: Page, guarded: str) -> None:
    page.goto(guarded)
    page.get_by_label("API key", exact=True).fill(KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Draw 16 images")).to_be_visible()
    alert = page.get_by_role("alert")
    for _ in range(12):
        page.get_by_role("button", name="Draw", exact=True).click()
        page.wait_for_timeout(200)
        if alert.inner_text():
            break
    expect(alert).to_contain_text(re.compile(r"asking again in \d+ s"))
    # It asks again by itself.
    expect(page.get_by_role("list", name=DRAWN).get_by_role("img")).to_have_count(16)
    expect(alert).to_be_empty()


def test_a_picture_that_is_too_large_is_told(page: Page, guarded: str, tmp_path: Path) -> None:
    page.goto(f"{guarded}/#judge")
    page.get_by_label("API key", exact=True).fill(KEY)
    page.keyboard.press("Enter")
    large = tmp_path / "large.png"
    large.write_bytes(write_digits(tmp_path, 1)[0].read_bytes() + bytes(4000))
    page.locator("input[type=file]").first.set_input_files(large)
    row = page.get_by_role("row").filter(has_text="large.png")
    expect(row).to_contain_text("not judged")
    expect(row).to_contain_text("2048")


def test_a_wrong_field_is_named(page: Page, address: str) -> None:
    visit(page, address)
    page.get_by_label("Latent").fill("99")
    page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("latent should be 1 distinct indices")


def problem(status: int, **more: Any) -> dict[str, Any]:
    body = {"title": "Draining", "detail": "the service is stopping", "code": "draining"} | more
    return {
        "status": status,
        "content_type": "application/problem+json",
        "body": json.dumps(body | {"status": status}),
    }


def test_a_service_that_stops_is_waited_for(page: Page, address: str) -> None:
    left = [1]

    def drain(route: Route) -> None:
        if left and left.pop():
            route.fulfill(headers={"Retry-After": "2"}, **problem(503))
        else:
            route.fallback()

    page.route(re.compile("/v1/jobs$"), drain)
    visit(page, address)
    page.get_by_role("button", name="Draw 16 images").click()
    expect(page.get_by_role("alert")).to_contain_text("the service is stopping")
    expect(page.get_by_role("list", name=DRAWN).get_by_role("img")).to_have_count(16)


def test_a_lost_connection_is_found_again(page: Page, address: str) -> None:
    """The events of a job break off, and then the result cannot be fetched."""
    seen: list[str | None] = []
    lost = [True]

    def cut(route: Route) -> None:
        seen.append(route.request.headers.get("last-event-id"))
        if len(seen) == 1:
            news = json.dumps({"progress": 0.1, "preview": None})
            body = f"id: 0\nevent: progress\ndata: {news}\n\n"
            route.fulfill(content_type="text/event-stream", body=body)
        else:
            route.fallback()

    page.route(re.compile("/events$"), cut)
    page.route(
        re.compile("/result$"),
        lambda route: route.abort() if lost and lost.pop() else route.fallback(),
    )
    visit(page, address)
    draw(page, count=4)
    assert seen[:2] == [None, "0"]


def test_texts_of_the_service_are_never_markup(page: Page, address: str) -> None:
    """Names of models, details of problems, and descriptions in the schema."""

    def rename(route: Route) -> None:
        body = route.fetch().json()
        body["models"][0]["name"] = HOSTILE
        route.fulfill(json=body)

    def describe(route: Route) -> None:
        body = route.fetch().json()
        body["components"]["schemas"]["Ddpm"]["description"] = HOSTILE
        route.fulfill(json=body)

    page.route(re.compile("/v1/models$"), rename)
    page.route(re.compile("/openapi.json$"), describe)
    page.route(re.compile("/v1/jobs$"), lambda route: route.fulfill(**problem(422, detail=HOSTILE)))
    visit(page, address)
    page.get_by_label("Solver", exact=True).select_option("ddpm")
    expect(page.get_by_role("group", name="ddpm")).to_contain_text(HOSTILE)
    page.get_by_role("button", name="Draw", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text(HOSTILE)
    page.get_by_role("link", name="Judge").click()
    expect(page.get_by_label("Model", exact=True)).to_contain_text(HOSTILE)
    assert page.locator("b[onmouseover]").count() == 0
