"""The README's commands do what it says."""

import re
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image

README = Path(__file__).parents[2] / "README.md"


def test_every_command_of_the_readme(address: str, tmp_path: Path) -> None:
    commands = re.findall(r"```bash\n(.*?)```", README.read_text(), flags=re.DOTALL)
    outputs = []
    for command in commands:
        here = command.replace("http://127.0.0.1:8000", address).replace(
            "curl -s", "curl -sS --fail"
        )
        done = subprocess.run(["bash", "-c", here], cwd=tmp_path, capture_output=True, timeout=300)
        assert done.returncode == 0, f"{command}\n{done.stderr.decode()}"
        outputs.append(done.stdout.decode())
    assert len(commands) == 6
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 256
    assert np.load(tmp_path / "digits.npy").shape == (4, 8, 8, 1)
    assert outputs[2].count('"bits_per_dim"') == 4
    assert outputs[3].count('"p_value"') == 4
    assert outputs[4].count('"coefficients"') == 1
    assert "event: succeeded" in outputs[5]
    assert (tmp_path / "later.png").read_bytes() == (tmp_path / "sheet.png").read_bytes()
