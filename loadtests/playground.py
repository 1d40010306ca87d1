"""Draw the pictures of the playground in docs: one visit from drawing to a table of verdicts.

A visitor draws 16 images, opens one, draws again and gets the same bytes, has four samplers race,
brings five pictures of which two are damaged, reads why, exports the table, scores a picture, looks
at what was learned, and watches the engine. It needs the `chromium` on PATH and no internet.

    python -m loadtests.playground docs/images
    python -m loadtests.playground docs/images --only-inside
"""

import argparse
import base64
import io
import re
import shutil
import tempfile
from pathlib import Path

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from loadtests.local import running_service

MODEL = "mnist"
# The model whose schedules heed the latent most.
INSIDE = "fashion-mnist"
PATIENCE_MS = 240_000
GOOD, DRAWN = 3, 8
COLOURS = 128


class Visit:
    """One visit, whose pictures go into `folder`."""

    def __init__(self, page: Page, folder: Path) -> None:
        self.page, self.folder = page, folder

    def keep(self, name: str, colours: int = COLOURS) -> None:
        """Write what the window shows as a small PNG of so many colours."""
        self.page.wait_for_timeout(400)
        shot = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        shot.quantize(colours).save(self.folder / f"playground-{name}.png", optimize=True)
        print(f"drawn: {name}")

    def draw(self) -> list[str]:
        """Draw 16 images, and return their addresses, which hold their bytes."""
        page = self.page
        page.get_by_label("Model", exact=True).select_option(MODEL)
        page.get_by_role("button", name="Draw", exact=True).click()
        images = page.get_by_role("list", name="Drawn images").get_by_role("img")
        expect(images).to_have_count(16)
        return [image.get_attribute("src") or "" for image in images.all()]

    def panel(self, name: str) -> None:
        """Show another panel."""
        self.page.get_by_role("link", name=name, exact=True).click()

    def bring(self, paths: list[Path]) -> None:
        """Choose pictures for the panel that is shown."""
        with self.page.expect_file_chooser() as chooser:
            self.page.get_by_role("button", name="Choose pictures").click()
        chooser.value.set_files(paths)


def damaged(image: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Return a copy with a scratch across it, and one with a piece missing."""
    scratched, broken = image.copy(), image.copy()
    for step in range(22):
        scratched[3 + step, 3 + step : 6 + step] = 255
    broken[12:24, 4:18] = 0
    return [scratched, broken]


def pictures(address: str, folder: Path) -> list[Path]:
    """Write the three most usual of some drawn images, and two damaged ones, as files."""
    with httpx.Client(base_url=address, timeout=PATIENCE_MS / 1000) as client:
        request = {"model": MODEL, "count": DRAWN, "seed": 3, "solver": {"preset": "best"}}
        answer = client.post("/v1/samples", json=request).raise_for_status().json()
        drawn = [base64.b64decode(image["png"]) for image in answer["images"]]
        files = [("images", content) for content in drawn]
        answer = client.post("/v1/anomalies", data={"model": MODEL}, files=files)
    p_values = [verdict["p_value"] for verdict in answer.raise_for_status().json()["results"]]
    usual = sorted(range(DRAWN), key=lambda place: -p_values[place])
    paths = [folder / f"part-{number + 1}.png" for number in range(GOOD)]
    for path, place in zip(paths, usual, strict=False):
        path.write_bytes(drawn[place])
    next_best = np.asarray(Image.open(io.BytesIO(drawn[usual[GOOD]])))
    for name, image in zip(("scratched", "broken"), damaged(next_best), strict=True):
        paths.append(folder / f"{name}.png")
        Image.fromarray(image).save(paths[-1])
    return paths


def visit(address: str, page: Page, folder: Path, place: Path) -> None:
    """Make the visit. Raises AssertionError where the second drawing is not the first."""
    seen = Visit(page, folder)
    page.goto(address)
    page.get_by_role("button", name="Draw 16 images").wait_for()
    first = seen.draw()
    seen.keep("draw")
    page.get_by_role("button", name="Image 3 of 16").click()
    seen.keep("image")
    page.keyboard.press("Escape")
    assert seen.draw() == first, "the same request drew other images"
    seen.panel("Race")
    page.get_by_label("Model", exact=True).select_option(MODEL)
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("img", name=re.compile("Image 1 by"))).to_have_count(4)
    expect(page.get_by_text("rows in a network call")).to_be_visible()
    seen.keep("race")
    seen.panel("Judge")
    page.get_by_label("Model", exact=True).select_option(MODEL)
    files = pictures(address, place)
    seen.bring(files)
    page.get_by_role("heading", name="scratched.png").wait_for()
    seen.keep("judge")
    page.get_by_role("heading", name="scratched.png").scroll_into_view_if_needed()
    page.get_by_text("standard deviations from their mean").scroll_into_view_if_needed()
    seen.keep("why")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export CSV").click()
    print(Path(download.value.path()).read_text(encoding="utf-8").splitlines()[0][:60])
    seen.panel("Score")
    page.get_by_label("Model", exact=True).select_option(MODEL)
    seen.bring(files[:1])
    page.get_by_text("1 of 1 scored").wait_for()
    page.get_by_text("What the bound is made of").scroll_into_view_if_needed()
    seen.keep("score")
    look_inside(address, seen, place)
    watch(address, seen)


def look_inside(address: str, seen: Visit, folder: Path) -> None:
    """Show the schedules of two latents and of those that two drawn images are encoded as."""
    page = seen.page
    request = {"model": INSIDE, "count": 2, "seed": 5, "solver": {"preset": "balanced"}}
    answer = httpx.post(f"{address}/v1/samples", json=request, timeout=PATIENCE_MS / 1000)
    paths = []
    for image in answer.raise_for_status().json()["images"]:
        paths.append(folder / f"drawn-{image['index'] + 1}.png")
        paths[-1].write_bytes(base64.b64decode(image["png"]))
    seen.panel("Inside")
    page.get_by_label("Model", exact=True).select_option(INSIDE)
    expect(page.get_by_text(f"3 schedules of {INSIDE}")).to_be_visible()
    seen.bring(paths)
    expect(page.get_by_role("img", name=re.compile("on its way to noise"))).to_have_count(2)
    page.get_by_label("The maps show gamma").select_option(label="less the mean of those shown")
    window = page.viewport_size
    page.set_viewport_size({"width": 1180, "height": 1000})
    page.evaluate("window.scrollTo(0, document.querySelector('.sides').offsetTop - 24)")
    seen.keep("inside", 2 * COLOURS)
    assert window is not None
    page.set_viewport_size(window)


def watch(address: str, seen: Visit) -> None:
    """Watch the engine draw, and show the page on a phone in the dark."""
    page = seen.page
    for seed, solver in enumerate(("ddpm", "dpm-2m", "rtk-uld")):
        wanted = {"model": MODEL, "count": 16 + 8 * seed, "seed": seed, "solver": {"name": solver}}
        job = {"kind": "samples", "request": wanted}
        httpx.post(f"{address}/v1/jobs", json=job).raise_for_status()
    seen.panel("Live")
    page.get_by_role("table", name="Rows by lane").wait_for()
    page.wait_for_timeout(15_000)
    seen.keep("live")
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 360, "height": 720})
    seen.panel("Draw")
    page.get_by_role("list", name="Drawn images").scroll_into_view_if_needed()
    seen.keep("phone")


def main() -> None:
    """Serve, visit, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--only-inside", action="store_true", help="draw no picture but that of the panel Inside"
    )
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as place,
        running_service("--threads", "1", ready_within_s=PATIENCE_MS / 1000) as address,
        sync_playwright() as playwright,
    ):
        expect.set_options(timeout=PATIENCE_MS)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1180, "height": 800})
        page.set_default_timeout(PATIENCE_MS)
        if arguments.only_inside:
            page.goto(address)
            look_inside(address, Visit(page, arguments.folder), Path(place))
        else:
            visit(address, page, arguments.folder, Path(place))
        browser.close()


if __name__ == "__main__":
    main()
