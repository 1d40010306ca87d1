"""GET /: the playground's files."""

import re
from pathlib import Path

import httpx
import pytest
from api_double import Service, assert_problem

from service.api.playground import FILES
from service.settings import Settings

pytestmark = pytest.mark.anyio

LARGEST, LONGEST = 300_000, 320
SOURCES = sorted(path for path in FILES.rglob("*") if path.is_file())


async def test_the_page_and_all_its_files_are_served(client: httpx.AsyncClient) -> None:
    page = await client.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    for path in SOURCES:
        found = await client.get(f"/web/{path.relative_to(FILES)}")
        assert found.content == path.read_bytes()
        if path.suffix == ".js":
            assert "javascript" in found.headers["content-type"]


async def test_nothing_but_the_service_s_own_files_may_run(client: httpx.AsyncClient) -> None:
    for path in ("/", "/web/app.js"):
        headers = (await client.get(path)).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in policy
        assert "require-trusted-types-for 'script'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


async def test_a_file_that_has_not_changed_is_not_sent_again(client: httpx.AsyncClient) -> None:
    first = await client.get("/web/app.js")
    again = await client.get("/web/app.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert first.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", ["/web/none.js", "/web/%2e%2e/errors.py", "/web/", "/web"])
async def test_no_other_file_is_served(client: httpx.AsyncClient, path: str) -> None:
    assert_problem(await client.get(path), 404, "not-found")


def test_the_page_is_small() -> None:
    assert sum(path.stat().st_size for path in SOURCES) <= LARGEST


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_file_names_another_origin_or_makes_markup_of_text(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace("http://www.w3.org/", "")
    assert not re.search(r"https?://", text)
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert way not in text
    for store in ("localStorage", "sessionStorage", "document.cookie", "indexedDB"):
        assert store not in text
    assert len(text.splitlines()) <= LONGEST
    assert not re.search(r"\bstyle=", text)


async def test_where_it_is_off_the_root_leads_to_the_description() -> None:
    service = Service(Settings(playground=False))
    service.gate.open()
    async with service.client() as client:
        assert (await client.get("/")).headers["location"] == "/docs"
        assert "swagger" in (await client.get("/docs")).text
        assert_problem(await client.get("/web/app.js"), 404, "not-found")
