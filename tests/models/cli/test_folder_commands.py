"""From a folder of photographs to a calibrated checkpoint, by the commands that users type."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from tiny_zoo import write_checkpoint

from models.anomaly.kept import read_calibration
from models.checkpoints.checkpoint import load_checkpoint
from models.cli import models
from models.files.shelf import folders
from models.preprocessing.decode import decode
from models.schema.errors import CheckpointError, DataError
from models.schema.manifest import read_manifest
from models.schema.preprocessing import Size
from models.training.proposal import Impression, Wishes, propose, propose_split
from models.training.recipe import read_recipe

THREADS = ("--threads", "1")


def part(seed: int, size: tuple[int, int] = (30, 40), damaged: bool = False) -> Image.Image:
    """A photograph of a round part on a bright ground, with a little noise."""
    dice = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]]
    far = np.hypot(y - size[0] / 2, (x - size[1] / 2) * size[0] / size[1])
    levels = np.where(far < size[0] / 3, 60, 220) + dice.normal(0, 6, size)
    if damaged:
        levels[size[0] // 3 : size[0] // 2] = dice.integers(0, 255, size)[
            : size[0] // 2 - size[0] // 3
        ]
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def fill(folder: Path, seeds: range, **options: Any) -> Path:
    folder.mkdir(parents=True)
    for seed in seeds:
        part(seed, **options).save(folder / f"{seed:03}.png")
    return folder


def run(*words: object) -> Result:
    return CliRunner().invoke(models, [str(word) for word in words])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of good parts and of bad ones in it, and the recipe that is proposed."""
    here = tmp_path_factory.mktemp("own")
    good = fill(here / "parts", range(44))
    fill(good / "defects", range(100, 106), damaged=True)
    done = run(
        "new", good, "--out", here / "washer", "--minutes", "0.1", "--resize", "8x8", *THREADS
    )
    assert done.exit_code == 0, done.output
    assert "44 photographs (44 PNG L); 44 of 30x40" in done.stdout
    assert "left out, folder named like defects: defects" in done.stdout
    assert "split by file: 17 train, 7 density, 20 calibration; alpha from 1/21" in done.stdout
    assert " steps take about " in done.stdout
    assert done.stdout.endswith(f"next: mulan models train {here / 'washer'} --threads 1\n")
    return good, here / "washer"


def shrink(out: Path) -> None:
    """Make the proposed network and run so small that a test can wait for them."""
    recipe = (out / "recipe.toml").read_text(encoding="utf-8")
    for key, value in (("steps", "12"), ("width", "8"), ("coarse_width", "0"), ("depth", "1")):
        old = next(line for line in recipe.splitlines() if line.startswith(f"{key} = "))
        recipe = recipe.replace(old, f"{key} = {value}", 1)
    (out / "recipe.toml").write_text(recipe, encoding="utf-8")


@pytest.fixture(scope="module")
def trained(made: tuple[Path, Path]) -> Path:
    """That recipe, followed for a few steps with a smaller network."""
    _, out = made
    shrink(out)
    done = run("train", out, *THREADS)
    assert done.exit_code == 0, done.output
    assert done.stdout.endswith(f"next: mulan models calibrate {out}\n")
    return out


CALIBRATE = ("--steps", "4", "--fresh", "2", *THREADS)


def test_every_key_of_the_recipe_is_explained(made: tuple[Path, Path]) -> None:
    good, out = made
    recipe = read_recipe(str(out))
    assert recipe.data.source == str(good.resolve())
    assert recipe.name == "washer"
    lines = (out / "recipe.toml").read_text(encoding="utf-8").splitlines()
    for place, line in enumerate(lines):
        if " = " in line and not line.startswith(("#", "name")):
            assert lines[place - 1].startswith("# "), line


def test_a_calibration_is_told_in_counts(made: tuple[Path, Path], trained: Path) -> None:
    good, _ = made
    done = run("calibrate", trained, "--defects", good / "defects", *CALIBRATE)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert "calibrated on 7 + 20 good pictures" in lines[0]
    assert lines[1].split("   ") == ["alpha", "of 20 good, stopped", "of 6 defects, missed"]
    assert lines[2].split()[0] == "0.04762"
    assert any(line.startswith("AUROC of 6 defects against the calibration") for line in lines)
    assert any(line.startswith("strangest of the good pictures") for line in lines)
    assert any("come from the same folder as the training's" in line for line in lines)
    manifest = read_manifest(trained)
    calibration = read_calibration(trained, manifest)
    assert calibration is not None
    assert calibration.pictures is not None
    assert manifest.preprocessing is not None
    assert calibration.pictures.rule == manifest.preprocessing.digest
    assert (calibration.pictures.density_pictures, calibration.pictures.pictures) == (7, 20)
    assert str(good) not in calibration.model_dump_json()


def test_other_good_pictures(trained: Path, tmp_path: Path) -> None:
    later = fill(tmp_path / "later", range(200, 230))
    more = fill(tmp_path / "more", range(300, 305))
    done = run("calibrate", trained, "--normal", later, "--held-out", more, "--json", *CALIBRATE)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)["pictures"]
    assert (found["density_pictures"], found["pictures"], found["same_source"]) == (10, 20, False)


def test_pictures_that_were_trained_on_are_refused(
    made: tuple[Path, Path], trained: Path, tmp_path: Path
) -> None:
    """Also when they are saved anew under other names."""
    good, _ = made
    again = tmp_path / "again"
    again.mkdir()
    for index, path in enumerate(sorted(good.glob("*.png"))):
        Image.open(path).save(again / f"other-{index}.bmp")
    before = (trained / "calibration.json").read_bytes()
    done = run("calibrate", trained, "--normal", again, *CALIBRATE)
    assert done.exit_code == 1
    assert "pictures were trained on: other-" in done.stderr
    assert (trained / "calibration.json").read_bytes() == before


def test_a_folder_that_has_changed_since_training(
    made: tuple[Path, Path], trained: Path, tmp_path: Path
) -> None:
    changed = fill(tmp_path / "parts", range(1, 45))
    done = run("calibrate", trained, "--data", changed, *CALIBRATE)
    assert done.exit_code == 1
    assert "are not those of the training" in done.stderr
    assert "give --normal" in done.stderr


def test_a_checkpoint_is_served_from_its_own_folder(trained: Path) -> None:
    assert folders(trained) == [trained]
    assert folders(trained.parent) == [trained.parent / "parts", trained]


@pytest.mark.parametrize(
    ("count", "options", "words"),
    [
        (0, (), "the folder is empty"),
        (2, (), "2 pictures; at least 12 are needed, and 40 for false alarms of 5 %"),
        (12, ("--resize", "8x8", "--scale", "0.5"), "give one of them"),
        (12, ("--tile", "64x64", "--scale", "1"), "no picture is as large as a tile"),
        (12, ("--group", "("), "group is no regular expression"),
        (20, ("--test", "9"), "20 pictures; with 9 for --test at least 21 are needed"),
    ],
)
def test_folders_and_wishes_that_are_refused(
    tmp_path: Path, count: int, options: tuple[str, ...], words: str
) -> None:
    good = fill(tmp_path / "good", range(count))
    done = run("new", good, "--out", tmp_path / "out", *options, *THREADS)
    assert done.exit_code == 1
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"good"}


def test_all_steps_at_once(tmp_path: Path) -> None:
    good = fill(tmp_path / "good", range(42), size=(16, 16))
    bad = fill(tmp_path / "bad", range(100, 103), size=(16, 16), damaged=True)
    out = tmp_path / "washer"
    wishes = ("--resize", "8x8", "--minutes", "0.1", "--all", "--defects", bad)
    done = run("new", good, "--out", out, *wishes, *THREADS)
    assert done.exit_code == 0, done.output
    assert "of 3 defects, missed" in done.stdout
    assert done.stdout.endswith(f"next: mulan serve --models {out}\n")
    assert read_calibration(out, read_manifest(out)) is not None


def test_pictures_of_several_tiles_and_of_several_sizes(tmp_path: Path) -> None:
    """The p-values rank pictures: as many as there are, whatever the number of their tiles."""
    good = fill(tmp_path / "good", range(24))
    for seed in range(24, 40):
        part(seed, (44, 52)).save(good / f"{seed:03}.png")
    out = tmp_path / "tiles"
    wishes = ("--scale", "0.5", "--tile", "8x8", "--minutes", "0.1")
    assert run("new", good, "--out", out, *wishes, *THREADS).exit_code == 0
    shrink(out)
    assert run("train", out, *THREADS).exit_code == 0
    done = run("calibrate", out, "--aggregate", "top-3", "--json", *CALIBRATE)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["pictures"]["pictures"], found["pictures"]["aggregate"]) == (20, "top-3")
    # 15 x 20 has two rows of three tiles, 22 x 26 three rows of four.
    small = (found["calibration_images"]["images"] - 12 * 20) / (6 - 12)
    assert small == int(small)
    assert 0 < small < 20


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of tiles, calibrated, and pictures that were kept for judging it."""
    here = tmp_path_factory.mktemp("kept")
    good = fill(here / "good", range(48))
    fill(here / "bad", range(100, 106), damaged=True)
    (here / "masks").mkdir()
    for seed in range(100, 106):
        mask = np.zeros((30, 40), np.uint8)
        mask[10:15] = 255
        Image.fromarray(mask).save(here / "masks" / f"{seed:03}.png")
    wishes = ("--scale", "0.5", "--tile", "8x8", "--minutes", "0.1", "--test", "8")
    done = run("new", good, "--out", here / "out", *wishes, *THREADS)
    assert done.exit_code == 0, done.output
    assert "14 train, 6 density, 20 calibration, 8 test" in done.stdout
    shrink(here / "out")
    assert run("train", here / "out", *THREADS).exit_code == 0
    done = run("calibrate", here / "out", "--score", "levels", "--levels", "2", *CALIBRATE)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[1].endswith("of 20 good, stopped   of 8 other good, stopped")
    return here


def test_a_checkpoint_is_measured_on_pictures_that_were_kept(kept: Path) -> None:
    options = ("--defects", kept / "bad", "--masks", kept / "masks", "--divisions", "10", *THREADS)
    done = run("evaluate", "defects", kept / "out", *options, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["tiles"] == (8 + 6) * 2 * 3
    assert {*found["aggregates"]} == {"max", "top-3", "mean", "mean-odds"}
    assert found["learned"]["value"] > 0.5
    promise = found["aggregates"]["mean-odds"]["promise"]
    assert [promise[name] for name in ("calibration", "good", "defective")] == [20, 8, 6]
    assert [row["alpha"] for row in promise["rows"]] == [0.05, 0.1, 0.2]
    assert len(found["found"]) == 6
    for name, one in found["found"].items():
        assert one["tiles"]["value"] > 0.5, name
        assert (one["overlap"] is None) == (name == "nearest tile")
    done = run("evaluate", "defects", kept / "out", *options)
    assert "| mean-odds, the calibration's | " in done.stdout
    assert "of 8 good, flagged | likely | flagged in 10 new divisions" in done.stdout


def test_pictures_that_are_no_test_are_refused(kept: Path, tmp_path: Path) -> None:
    def fault(*words: object) -> str:
        done = run("evaluate", "defects", kept / "out", *words, *THREADS)
        assert done.exit_code == 1, done.output
        assert done.stderr.count("\n") == 1 or "Error: " in done.stderr.splitlines()[-1]
        return done.stderr

    words = fault("--defects", kept / "bad", "--normal", kept / "good")
    assert "held-out pictures were trained on" in words
    words = fault("--defects", kept / "bad", "--masks", kept / "good")
    assert "has no mask in" in words
    later = fill(tmp_path / "later", range(200, 230))
    before = (kept / "out" / "calibration.json").read_bytes()
    assert run("calibrate", kept / "out", "--normal", later, *CALIBRATE).exit_code == 0
    assert "calibrate it without --normal" in fault("--defects", kept / "bad")
    (kept / "out" / "calibration.json").write_bytes(before)


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    good = fill(tmp_path / "good", range(12))
    (tmp_path / "out").mkdir()
    done = run("new", good, "--out", tmp_path / "out", "--resize", "8x8", *THREADS)
    assert (done.exit_code, "exists already" in done.stderr) == (1, True)


def test_photographs_are_refused_where_a_checkpoint_takes_none(tmp_path: Path) -> None:
    good = fill(tmp_path / "good", range(3))
    digits = Path(__file__).parents[3] / "models" / "zoo" / "digits"
    done = run("calibrate", digits, "--defects", good)
    assert done.exit_code == 1
    assert "digits has no preprocessing" in done.stderr


def test_a_checkpoint_that_knew_no_photographs_gets_a_rule_and_verdicts(
    trained: Path, tmp_path: Path
) -> None:
    """As an imported one does; what it was trained on is not recorded, and that is said."""
    other = tmp_path / "imported"
    write_checkpoint(other)
    done = run("prepare", other)
    assert done.exit_code == 0, done.output
    good = tmp_path / "good"
    good.mkdir()
    for seed in range(32):
        levels = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(levels).save(good / f"{seed}.png")
    done = run("calibrate", other, "--normal", good, *CALIBRATE)
    assert done.exit_code == 0, done.output
    assert "calibrated on 10 + 22 good pictures" in done.stdout
    assert "not recorded which pictures this checkpoint was trained on" in done.stdout
    assert read_calibration(other, read_manifest(other)) is not None
    assert run("prepare", other, "--remove").exit_code == 0
    with pytest.raises(CheckpointError, match="prepared in another way"):
        read_calibration(other, read_manifest(other))
    done = run("prepare", trained)
    assert "was trained on photographs" in done.stderr


def test_other_images_of_the_model_s_own_form(tmp_path: Path) -> None:
    """A checkpoint without a rule is calibrated on images of its shape and levels."""
    other = tmp_path / "imported"
    write_checkpoint(other)
    tokens = np.random.default_rng(0).integers(0, 17, (50, 4, 4, 1), dtype=np.uint8)
    np.save(tmp_path / "good.npy", tokens)
    done = run("calibrate", other, "--normal", tmp_path / "good.npy", *CALIBRATE)
    assert done.exit_code == 0, done.output
    assert "calibrated on 25 + 25 images" in done.stdout
    assert "is not recorded which images" in done.stdout


def test_ctrl_c_keeps_what_is_trained(trained: Path, tmp_path: Path) -> None:
    """In a process of its own, which gets a SIGINT in the middle of a long run."""
    recipe = (trained / "recipe.toml").read_text(encoding="utf-8")
    (tmp_path / "recipe.toml").write_text(
        recipe.replace("\nsteps = 12", "\nsteps = 100000"), encoding="utf-8"
    )
    command = [Path(sys.executable).with_name("mulan"), "models", "train", tmp_path, *THREADS]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while not (tmp_path / "manifest.json").exists():
        assert time.monotonic() < until
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, progress = process.communicate(timeout=120)
    assert process.returncode == 0, progress
    assert "stopping after this step; what is trained is kept" in progress
    assert "of 100000 and kept; the same command goes on" in out
    assert load_checkpoint(tmp_path).manifest.preprocessing is not None


def test_alike_pictures_are_whole_and_textures_are_cut() -> None:
    parts = Impression.of([part(seed) for seed in range(6)])
    assert not parts.coloured
    assert parts.alike > 0.9
    proposal = propose(parts, 60, Wishes())
    assert proposal.preprocessing["size"]["rule"] == "resize"
    assert proposal.preprocessing["tile"] == [24, 32]
    dice = np.random.default_rng(0)
    noise = [Image.fromarray(dice.integers(0, 255, (200, 300, 3), np.uint8)) for _ in range(6)]
    textures = Impression.of(noise)
    assert textures.coloured
    assert textures.alike < 0.5
    proposal = propose(textures, 60, Wishes())
    assert proposal.preprocessing["size"] == {"rule": "scale", "factor": 0.48}
    assert proposal.preprocessing["tile"] == [32, 32]
    assert proposal.model["image_shape"] == [32, 32, 3]


@pytest.mark.parametrize(
    ("count", "rows", "expected"),
    [
        (12, 1, (2, 3, 7)),
        (38, 1, (12, 6, 20)),
        (58, 1, (29, 9, 20)),
        (600, 1, (300, 100, 200)),
        (100_000, 1, (8000, 2400, 2400)),
        (662, 15, (392, 110, 160)),
    ],
)
def test_the_split_of_few_and_of_many(count: int, rows: int, expected: tuple[int, ...]) -> None:
    assert tuple(propose_split(count, rows).values()) == expected
    assert sum(expected) <= count


def test_a_few_small_pictures_do_not_make_the_tiles_small() -> None:
    seen = Impression([Size(80, 60)] * 14 + [Size(5, 5)], coloured=True, alike=0.0)
    found = propose(seen, 15, Wishes())
    assert found.preprocessing["tile"] == [32, 32]
    assert "1 of 15 pictures looked at are smaller than a tile" in found.reasons


def test_wishes_come_first() -> None:
    seen = Impression([Size(100, 100)] * 3, coloured=True, alike=0.9)
    wishes = Wishes("grey", 32, Size(16, 16), None, 0.5)
    proposal = propose(seen, 60, wishes)
    assert proposal.model["image_shape"] == [16, 16, 1]
    assert proposal.model["vocabulary"] == proposal.preprocessing["levels"] == 32
    assert proposal.preprocessing["size"] == {"rule": "scale", "factor": 0.5}
    with pytest.raises(DataError, match="too small to be scaled"):
        propose(seen, 60, Wishes(scale=0.03))


def test_a_decoded_photograph_gives_the_impression(tmp_path: Path) -> None:
    folder = fill(tmp_path / "good", range(2))
    image = decode((folder / "000.png").read_bytes())
    assert Impression.of([image]).sizes == [Size(30, 40)]
