"""A model with classes on the playground: a class is named, and answers tell it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playground_page import draw, faults, shown, visit
from playwright.sync_api import Page, expect
from tiny_classes import write_checkpoint

from loadtests.local import running_service
from models.files.pictures import encode_png

pytestmark = pytest.mark.needs("chromium")

# The import of diffusers alone takes seconds.
READY_WITHIN_S = 240


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root: Path = tmp_path_factory.mktemp("classes")
    write_checkpoint(root / "classy")
    arguments = ("--threads", "1", "--models", str(root / "classy"))
    with running_service(*arguments, log=root / "log", ready_within_s=READY_WITHIN_S) as url:
        yield url


def test_images_of_a_class(page: Page, address: str) -> None:
    visit(page, address)
    label = page.get_by_label("Class", exact=True)
    answer = draw(page, count=3)
    drawn = [image["class_label"] for image in answer["images"]]
    label.fill(", ".join(map(str, drawn)))
    with page.expect_request(re.compile("/v1/jobs$")) as sent:
        again = draw(page, count=3)
    assert json.loads(sent.value.post_data or "")["request"]["class_label"] == drawn
    assert again["images"] == answer["images"]
    label.fill("4")
    of_one = draw(page, count=3)
    assert [image["class_label"] for image in of_one["images"]] == [4, 4, 4]
    page.get_by_role("button", name="Use it elsewhere").click()
    link = page.get_by_label("As a link").inner_text()
    assert "class_label=4" in link
    page.goto("about:blank")
    page.goto(link)
    expect(page.get_by_role("list", name="Drawn images").get_by_role("img")).to_have_count(3)
    assert shown(page) == [image["png"] for image in of_one["images"]]
    expect(label).to_have_value("4")
    page.get_by_role("list", name="Drawn images").get_by_role("button").first.click()
    expect(page.get_by_role("dialog")).to_contain_text("Class4")
    assert faults(page) == []


def test_scores_of_a_class_and_of_all(page: Page, address: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 1), np.uint8)
    (tmp_path / "one.png").write_bytes(encode_png(pixels, 256))
    visit(page, address, "score")
    page.get_by_label("Draws", exact=True).fill("1")
    page.get_by_label("Probes", exact=True).fill("1")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose pictures").click()
    chooser.value.set_files(tmp_path / "one.png")
    panel = page.locator("section.panel")
    expect(panel).to_contain_text("Likeliest class")
    page.get_by_label("Class of the pictures").fill("3")
    page.get_by_role("button", name="Score again").click()
    expect(panel).to_contain_text("Class3")
    expect(panel).not_to_contain_text("Likeliest class")
    assert faults(page) == []
