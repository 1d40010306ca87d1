"""One real service for all end-to-end tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtests.example_answers import FLAGS
from loadtests.local import running_service


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log: Path = tmp_path_factory.mktemp("service") / "log"
    with running_service(*FLAGS, log=log) as url:
        yield url
