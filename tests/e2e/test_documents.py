"""The Python that the documents show runs as it stands."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def test_the_python_api_example(monkeypatch):
    text = (REPOSITORY / "docs" / "official-checkpoints.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(REPOSITORY)
    names = {}
    exec(compile(example, "official-checkpoints.md", "exec"), names)
    assert names["draw"].log_p.shape == (2,)
