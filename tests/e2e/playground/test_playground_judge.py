"""The playground's panels for pictures that people bring: verdicts, and likelihoods."""

import base64
import csv
import re
from pathlib import Path

import httpx
import pytest
from playground_page import draw, faults, overflow, visit
from playwright.sync_api import FileChooser, Page, Route, expect
from sample_pictures import write_damaged, write_digits

pytestmark = pytest.mark.needs("chromium")

PATIENCE_S = 60
HOSTILE = "<img src=x onerror=alert(1)>.png"


def bring(page: Page, paths: list[Path]) -> None:
    """Choose files as a person does."""
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose pictures").click()
    chosen: FileChooser = chooser.value
    chosen.set_files(paths)


def judged(page: Page, count: int) -> None:
    expect(page.get_by_text(re.compile(rf"\d+ of {count} pictures flagged"))).to_be_visible()


def row(page: Page, name: str) -> list[str]:
    """Return the cells of a picture: verdict, p-value, score."""
    return page.get_by_role("row").filter(has_text=name).get_by_role("cell").all_inner_texts()[2:]


def test_five_pictures_of_which_two_are_damaged(page: Page, address: str, tmp_path: Path) -> None:
    good, bad = write_digits(tmp_path, 3), write_damaged(tmp_path)
    visit(page, address, "judge")
    bring(page, [*good, *bad])
    judged(page, 5)
    files = [("images", path.read_bytes()) for path in (*good, *bad)]
    answer = httpx.post(
        f"{address}/v1/anomalies", data={"model": "digits"}, files=files, timeout=PATIENCE_S
    ).json()
    for path, verdict in zip((*good, *bad), answer["results"], strict=True):
        word, p_value, _ = row(page, path.name)
        assert word == ("strange" if verdict["is_anomaly"] else "usual")
        assert float(p_value) == pytest.approx(verdict["p_value"], rel=0.01)
    assert [row(page, path.name)[0] for path in bad] == ["strange", "strange"]
    # The strangest one is explained: its rank, its heat, its statistics in words.
    expect(page.get_by_role("heading", name="noise.png")).to_be_visible()
    expect(page.get_by_text("good images of 150 look at least as strange")).to_be_visible()
    expect(page.get_by_text(re.compile("Strangest: .* standard deviations"))).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("Scores of 150 good"))).to_be_visible()
    canvas = page.get_by_role("img", name=re.compile("^Heatmap"))
    page.get_by_label("Opacity of the heat").fill("20")
    expect(canvas).to_have_css("opacity", "0.2")
    # The rate is a matter of the page: nothing is asked again.
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_label("Rate of false alarms").fill("200")
    expect(page.get_by_text("50 %")).to_be_visible()
    flagged = sum(verdict["p_value"] <= 0.5 for verdict in answer["results"])
    expect(page.get_by_text(f"{flagged} of 5 pictures flagged")).to_be_visible()
    assert not [url for url in asked if "/v1/" in url]
    with page.expect_download() as download:
        page.get_by_role("button", name="Export CSV").click()
    saved = tmp_path / "verdicts.csv"
    download.value.save_as(saved)
    with saved.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [line["picture"] for line in lines] == [path.name for path in (*good, *bad)]
    for line, verdict in zip(lines, answer["results"], strict=True):
        assert float(line["score"]) == verdict["score"]
        assert float(line["log_prior"]) == verdict["statistics"]["log_prior"]
    assert faults(page) == []


def test_one_that_is_refused_does_not_stop_the_others(
    page: Page, address: str, tmp_path: Path
) -> None:
    """And names of files are shown as they are, whatever they look like."""
    good = write_digits(tmp_path, 2)
    hostile = tmp_path / HOSTILE
    hostile.write_bytes(b"no picture")
    formula = good[1].rename(tmp_path / "=HYPERLINK(1).png")
    visit(page, address, "judge")
    bring(page, [good[0], hostile, formula])
    judged(page, 2)
    cells = row(page, HOSTILE)
    assert cells[0].startswith("not judged")
    assert cells[1:] == ["", ""]
    assert page.locator("main img[src='x']").count() == 0
    with page.expect_download() as download:
        page.get_by_role("button", name="Export CSV").click()
    saved = tmp_path / "verdicts.csv"
    download.value.save_as(saved)
    assert ",'=HYPERLINK" not in saved.read_text(encoding="utf-8").splitlines()[0]
    assert "\n'=HYPERLINK(1).png," in saved.read_text(encoding="utf-8")


def test_regions_are_boxes_over_the_picture(page: Page, address: str, tmp_path: Path) -> None:
    """The verdict has them for calibrations by levels; here they are put into one by the path."""
    region = {"x": 1, "y": 2, "width": 3, "height": 4, "area": 9, "p_value": 0.02}

    (path,) = write_digits(tmp_path, 1)
    files = [("images", path.read_bytes())]
    fields = {"model": "digits", "heatmap": "true"}
    found = httpx.post(f"{address}/v1/anomalies", data=fields, files=files, timeout=PATIENCE_S)
    body = found.json()
    body["results"][0]["regions"] = [region]

    def answer(route: Route) -> None:
        route.fulfill(json=body)

    page.route(re.compile("/v1/anomalies$"), answer)
    visit(page, address, "judge")
    bring(page, [path])
    drawn = page.get_by_role("img", name="1 strange region")
    expect(drawn).to_have_attribute("viewBox", "0 0 8 8")
    for name in ("x", "y", "width", "height"):
        expect(drawn.locator("rect")).to_have_attribute(name, str(region[name]))
    expect(page.get_by_text("4 at 1, 2: p = 0.02")).to_be_visible()


def test_a_picture_is_dropped_or_pasted(page: Page, address: str, tmp_path: Path) -> None:
    (path,) = write_digits(tmp_path, 1)
    content = base64.b64encode(path.read_bytes()).decode()
    visit(page, address, "judge")
    page.evaluate(
        """([content]) => {
          for (const [kind, make] of [['drop', DragEvent], ['paste', ClipboardEvent]]) {
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], `${kind}.png`, {type: 'image/png'}));
            const target = kind === 'drop' ? document.querySelector('.drop') : document;
            const data = kind === 'drop' ? {dataTransfer: transfer} : {clipboardData: transfer};
            target.dispatchEvent(new make(kind, {bubbles: true, cancelable: true, ...data}));
          }
        }""",
        [content],
    )
    expect(page.get_by_role("button", name="drop.png")).to_be_visible()
    expect(page.get_by_role("button", name="paste.png")).to_be_visible()


def test_a_whole_folder(page: Page, address: str, tmp_path: Path) -> None:
    write_digits(tmp_path / "batch", 3)
    (tmp_path / "batch" / "notes.txt").write_text("no picture")
    visit(page, address, "judge")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose a folder").click()
    chooser.value.set_files(tmp_path / "batch")
    judged(page, 3)
    expect(page.get_by_role("button", name="batch/digit-2.png")).to_be_visible()


def test_a_drawn_image_is_judged_and_scored(page: Page, address: str) -> None:
    visit(page, address)
    draw(page, count=1, seed=3)
    page.get_by_role("button", name="Image 1 of 1").click()
    page.get_by_role("button", name="Judge this").click()
    expect(page.get_by_role("heading", name="digits-3-0.png")).to_be_visible()
    page.get_by_role("link", name="Draw").click()
    page.get_by_role("button", name="Image 1 of 1").click()
    page.get_by_role("button", name="Score this").click()
    expect(page.get_by_text("1 of 1 scored")).to_be_visible()
    expect(
        page.get_by_role("img", name=re.compile("Terms in nats: noise it becomes"))
    ).to_be_visible()


def test_a_score_is_that_of_the_service(page: Page, address: str, tmp_path: Path) -> None:
    paths = write_digits(tmp_path, 2)
    visit(page, address, "score")
    page.get_by_label("Draws").fill("2")
    bring(page, paths)
    expect(page.get_by_text("2 of 2 scored")).to_be_visible()
    files = [("images", path.read_bytes()) for path in paths]
    fields = {"model": "digits", "draws": "2"}
    answer = httpx.post(f"{address}/v1/likelihoods", data=fields, files=files, timeout=PATIENCE_S)
    for path, score in zip(paths, answer.json()["results"], strict=True):
        bits, error = row(page, path.name)
        assert float(bits) == pytest.approx(score["bits_per_dim"], rel=1e-3)
        nats = (score["trace_standard_error"] ** 2 + score["draw_standard_error"] ** 2) ** 0.5
        ratio = score["bits_per_dim"] / -score["log_px_lower_bound"]
        assert float(error) == pytest.approx(2 * nats * ratio, rel=0.05)
    expect(page.get_by_text("The band holds the card's 297 test images")).to_be_visible()
    assert faults(page) == []


@pytest.mark.parametrize("panel", ["judge", "score"])
def test_on_a_phone(page: Page, address: str, tmp_path: Path, panel: str) -> None:
    page.set_viewport_size({"width": 360, "height": 640})
    visit(page, address, panel)
    bring(page, write_digits(tmp_path, 1))
    expect(page.get_by_role("heading", name="digit-0.png")).to_be_visible()
    assert overflow(page) <= 0
