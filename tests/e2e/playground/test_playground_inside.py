"""The playground's panel of learned noise schedules."""

import base64
import re
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from playground_page import draw, faults, overflow, visit
from playwright.sync_api import Locator, Page, Route, expect
from sample_pictures import write_digits

pytestmark = pytest.mark.needs("chromium")

TIMEOUT_S = 60
MINUS = "\N{MINUS SIGN}"


def lane(page: Page, ones: str) -> Locator:
    return page.get_by_role("region", name=f"Latent {ones}", exact=True)


def schedules(address: str, **request: Any) -> dict[str, Any]:
    """The service's own answer."""
    body = {"model": "digits", **request}
    found = httpx.post(f"{address}/v1/schedules", json=body, timeout=TIMEOUT_S)
    answer: dict[str, Any] = found.raise_for_status().json()
    return answer


def number(text: str) -> float:
    return float(text.replace(MINUS, "-"))


def test_curves_and_maps_are_those_of_the_service(page: Page, address: str) -> None:
    visit(page, address, "inside")
    expect(page.get_by_role("status").last).to_contain_text("3 schedules of digits")
    answer = schedules(address, latents=[[0], [1], [2]])
    at = answer["times"].index(0.25)
    page.get_by_label("Time t").fill("25")
    for one in answer["schedules"]:
        told = lane(page, str(one["latent"][0])).inner_text()
        found = re.search(r"Gamma is (\S+) on average.* nine of ten pixels have (\S+) to", told)
        assert found, told
        assert number(found[1]) == pytest.approx(one["mean"][at], rel=1e-3)
        assert number(found[2]) == pytest.approx(one["lower"][at], rel=1e-3)
        assert number(told.split(" to ")[1].split(".\n")[0]) == pytest.approx(
            one["upper"][at], rel=1e-3
        )
    array = httpx.post(
        f"{address}/v1/schedules",
        json={"model": "digits", "latents": [[0]]},
        headers={"Accept": "application/x-npy"},
        timeout=TIMEOUT_S,
    ).content
    gamma = np.frombuffer(array[-65 * 64 * 4 :], "<f4").reshape(65, 8, 8)[at]
    line = answer["gamma_min"] + 0.25 * (answer["gamma_max"] - answer["gamma_min"])
    drawn = page.evaluate(
        """() => {
          const canvas = document.querySelector('.maps canvas');
          return [...canvas.getContext('2d').getImageData(0, 0, 8, 8).data];
        }"""
    )
    red_less_blue = np.array(drawn).reshape(8, 8, 4) @ [1, 0, -1, 0]
    order = np.corrcoef((gamma - line).ravel(), red_less_blue.ravel())[0, 1]
    assert order > 0.95
    expect(page.get_by_role("img", name=re.compile("^Gamma over t less"))).to_be_visible()
    expect(page.get_by_text(re.compile("^Pixels of one schedule"))).to_be_visible()
    assert faults(page) == []


def test_a_latent_is_chosen_by_hand_and_the_oldest_gives_way(page: Page, address: str) -> None:
    visit(page, address, "inside")
    show = page.get_by_role("button", name="Show its schedule")
    expect(show).to_be_disabled()
    for one in "5", "7":
        expect(page.get_by_role("status").last).to_contain_text("schedules of digits")
        page.get_by_label(one, exact=True).check()
        show.click()
        expect(lane(page, one)).to_be_visible()
    assert page.locator("fieldset input:checked").count() == 1
    assert page.locator(".maps h3").all_inner_texts() == [f"Latent {one}" for one in "1257"]
    page.get_by_role("button", name="Remove Latent 2").click()
    expect(lane(page, "2")).to_have_count(0)
    expect(page.get_by_role("status").last).to_contain_text("3 schedules")
    link = lane(page, "7").get_by_role("link", name="Draw with this latent")
    assert "latent=7" in (link.get_attribute("href") or "")


def test_a_picture_shows_its_latent_and_goes_to_noise(
    page: Page, address: str, tmp_path: Path
) -> None:
    paths = write_digits(tmp_path, 1)
    damaged = tmp_path / "text.png"
    damaged.write_bytes(b"no picture")
    visit(page, address, "inside")
    expect(lane(page, "0")).to_be_visible()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose pictures").click()
    chooser.value.set_files([*paths, damaged])
    expect(page.get_by_text("Encoded from digit-0.png.")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("text.png")
    files = [("images", paths[0].read_bytes())]
    answer = httpx.post(
        f"{address}/v1/schedules", data={"model": "digits"}, files=files, timeout=TIMEOUT_S
    ).json()
    (one,) = answer["schedules"][0]["latent"]
    expect(lane(page, str(one))).to_contain_text("Encoded from digit-0.png.")
    noisy = page.get_by_role("img", name=re.compile("digit-0.png at t = .* to noise"))
    expect(noisy).to_be_visible()
    page.get_by_label("Time t").fill("0")
    first = noisy.evaluate("canvas => canvas.toDataURL()")
    page.get_by_label("Time t").fill("100")
    expect(noisy).to_have_attribute("aria-label", re.compile("t = 1.00"))
    assert noisy.evaluate("canvas => canvas.toDataURL()") != first
    expect(page.get_by_text("At both ends gamma is the same in every pixel")).to_be_visible()
    assert faults(page) == []


def test_by_the_keyboard(page: Page, address: str) -> None:
    visit(page, address, "inside")
    expect(lane(page, "0")).to_be_visible()
    slider = page.get_by_label("Time t")
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuetext", "t = 0.51")
    expect(page.get_by_role("img", name="Map of Latent 0 at t = 0.51")).to_be_visible()
    page.get_by_label("4", exact=True).focus()
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expect(lane(page, "4")).to_be_visible()


def test_a_drawn_image_is_looked_into(page: Page, address: str) -> None:
    visit(page, address)
    (one,) = draw(page, count=1)["images"]
    page.get_by_role("button", name="Image 1 of 1").click()
    page.get_by_role("button", name="Look inside").click()
    expect(page.get_by_text(re.compile("Encoded from digits-7-0.png"))).to_be_visible()
    assert one["latent"]


def without_a_latent(route: Route) -> None:
    body = route.fetch().json()
    body["models"][0] |= {"latent": {"n": 0, "k": 0}, "evaluation": {}}
    route.fulfill(json=body)


def test_a_model_without_a_latent_has_a_straight_line(page: Page, address: str) -> None:
    """The page is told of such a model, and the answer is made a straight line's."""

    def straighten(route: Route) -> None:
        assert route.request.post_data_json == {"model": "digits", "latents": []}
        answer = schedules(address, latents=[[0]])
        low, high = answer["gamma_min"], answer["gamma_max"]
        line = [low + (high - low) * t for t in answer["times"]]
        flat = np.zeros((3, 64), "<f4")
        flat[2] = np.sqrt(high - low)
        (one,) = answer["schedules"]
        one |= {"latent": [], "mean": line, "lower": line, "median": line, "upper": line}
        one["coefficients"] = base64.b64encode(flat.tobytes()).decode()
        route.fulfill(json=answer)

    page.route(re.compile("/v1/models$"), without_a_latent)
    page.route(re.compile("/v1/schedules$"), straighten)
    visit(page, address, "inside")
    expect(page.get_by_text("The same in every pixel and at every time")).to_be_visible()
    expect(
        page.get_by_text(f"Gamma is {MINUS}1.45 on average, on the straight line")
    ).to_be_visible()
    expect(page.get_by_text("This model has no latent")).to_be_visible()
    expect(page.get_by_role("button", name="Choose pictures")).to_be_hidden()


def test_latents_of_several_ones(page: Page, address: str) -> None:
    """Exactly k are ticked, and the cards' caution about patches is told."""

    def several(route: Route) -> None:
        body = route.fetch().json()
        body["models"][0] |= {"latent": {"n": 9, "k": 3}}
        body["models"][0]["evaluation"]["schedule"]["by_patch"] = 0.95
        route.fulfill(json=body)

    page.route(re.compile("/v1/models$"), several)
    visit(page, address, "inside")
    expect(page.get_by_role("alert")).to_contain_text("should be one index from 0 to 8")
    for one in "158":
        page.get_by_label(one, exact=True).check()
    expect(page.get_by_label("2", exact=True)).to_be_disabled()
    page.unroute(re.compile("/v1/schedules$"))
    page.route(
        re.compile("/v1/schedules$"),
        lambda route: route.fulfill(json=schedules(address, latents=[[1]])),
    )
    page.get_by_role("button", name="Show its schedule").click()
    expect(page.get_by_text("95 % of the variance between pixels goes with")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone(page: Page, address: str, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 360, "height": 640})
    visit(page, address, "inside")
    expect(lane(page, "2")).to_be_visible()
    assert overflow(page) <= 0
    assert faults(page) == []
