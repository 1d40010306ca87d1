"""Rules of the whole suite: one thread a process, files go whole to one process, and a skipped test
is a failed run.

Tests that need a command which pip does not bring are left out where it is missing, but not in CI.
"""

import os
import shutil
from typing import Any

import pytest
import torch
from schedule import ByFile, place


def pytest_configure() -> None:
    torch.set_num_threads(1)


def pytest_runtest_setup() -> None:
    # A service in the test before may have set its own number, whose idle threads would spin.
    torch.set_num_threads(1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile | None:
    return ByFile(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: place(item.nodeid))
    if os.environ.get("CI"):
        return
    lacking = [
        item
        for item in items
        if any(not shutil.which(marker.args[0]) for marker in item.iter_markers("needs"))
    ]
    if lacking:
        config.hook.pytest_deselected(items=lacking)
        items[:] = [item for item in items if item not in lacking]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and reporter.stats.get("skipped") and not session.exitstatus:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
