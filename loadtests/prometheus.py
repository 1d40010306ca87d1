"""A Prometheus of our own, on the configuration and the rules in deploy/prometheus.

What is substituted there, and nothing else: the targets, which DNS would find; how often is
scraped and evaluated; for how long an alert's condition must hold.
"""

import contextlib
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml

from loadtests.local import free_port

DEPLOYED = Path(__file__).parent.parent / "deploy" / "prometheus"
READY_WITHIN_S = 30.0

Targets = Mapping[str, Sequence[str]]


class Prometheus(contextlib.AbstractContextManager["Prometheus"]):
    """Scrapes `targets`, addresses by the name of their job, every `every` seconds; alerts wait
    `hold` seconds instead of minutes, or as long as they say."""

    def __init__(
        self, folder: Path, targets: Targets, every: int = 1, hold: int | None = None
    ) -> None:
        self.folder, self.address = folder, f"http://127.0.0.1:{free_port()}"
        self._config = _substituted(folder, targets, every, hold)
        self._client = httpx.Client(base_url=self.address, timeout=30)

    def __enter__(self) -> Self:
        command = [
            "prometheus",
            f"--config.file={self._config}",
            f"--storage.tsdb.path={self.folder / 'tsdb'}",
            f"--web.listen-address={self.address.removeprefix('http://')}",
            "--log.level=warn",
        ]
        with (self.folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                if self._client.get("/-/ready").status_code == httpx.codes.OK:
                    return self
            time.sleep(0.05)
        self._process.kill()
        raise RuntimeError((self.folder / "prometheus.log").read_text())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()
        self._process.terminate()
        self._process.wait(30)

    def now(self, expr: str) -> list[tuple[dict[str, str], float]]:
        """Each series' labels and value. Raises RuntimeError for what does not parse."""
        found = self._get("query", query=expr)["result"]
        return [(series["metric"], float(series["value"][1])) for series in found]

    def over(
        self, expr: str, start: float, end: float, step: float
    ) -> list[tuple[dict[str, str], list[float], list[float]]]:
        """Each series' labels, times and values."""
        found = self._get("query_range", query=expr, start=start, end=end, step=step)["result"]
        return [
            (
                series["metric"],
                [float(at) for at, _ in series["values"]],
                [float(value) for _, value in series["values"]],
            )
            for series in found
        ]

    def firing(self) -> set[str]:
        """Names of the alerts that fire."""
        alerts = self._get("alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def rules(self) -> list[dict[str, Any]]:
        """Every rule with its health and its last error."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def label_values(self, label: str, series: str) -> list[str]:
        """The values of a label, as a variable of a board has them."""
        values: list[str] = self._get(f"label/{label}/values", **{"match[]": series})
        return values

    def _get(self, path: str, **parameters: Any) -> Any:
        answer = self._client.get(f"/api/v1/{path}", params=parameters).json()
        if answer["status"] != "success":
            raise RuntimeError(f"{parameters}: {answer['error']}")
        return answer["data"]


def _substituted(folder: Path, targets: Targets, every: int, hold: int | None) -> Path:
    config = yaml.safe_load((DEPLOYED / "prometheus.yml").read_text())
    for setting in ("scrape_interval", "evaluation_interval"):
        config["global"][setting] = f"{every}s"
    for job in config["scrape_configs"]:
        del job["dns_sd_configs"]
        job["static_configs"] = [{"targets": list(targets[job["job_name"]])}]
    (folder / "rules").mkdir(parents=True)
    for path in (DEPLOYED / "rules").glob("*.yml"):
        rules = yaml.safe_load(path.read_text())
        for rule in (rule for group in rules["groups"] for rule in group["rules"]):
            if "for" in rule and hold is not None:
                rule["for"] = f"{hold}s"
        (folder / "rules" / path.name).write_text(yaml.safe_dump(rules))
    written = folder / "prometheus.yml"
    written.write_text(yaml.safe_dump(config))
    return written
