"""Command that writes the boards' JSON into deploy/grafana/dashboards."""

from pathlib import Path

from deploy.grafana.boards.written import written

FOLDER = Path(__file__).parent.parent / "dashboards"

for name, text in written().items():
    (FOLDER / name).write_text(text)
