"""The boards as the files that Grafana reads."""

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.boards.data import data
from deploy.grafana.boards.engine import engine
from deploy.grafana.boards.service import service


def written() -> dict[str, str]:
    """Return each board's JSON by its file's name."""
    boards = {"service.json": service(), "engine.json": engine(), "data.json": data()}
    encoder = JSONEncoder(sort_keys=True, indent=2)
    return {name: encoder.encode(board.build()) + "\n" for name, board in boards.items()}
