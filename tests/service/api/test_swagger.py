"""/docs refers to nothing but this service, and its files are there."""

import re

import httpx
import pytest

from service.settings import Settings

pytestmark = pytest.mark.anyio


async def test_every_file_of_the_page_is_served_here(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs")).text
    found = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(found) == 3
    for path in found:
        assert path.startswith("/docs/assets/")
        response = await client.get(path)
        assert response.status_code == 200
        assert response.headers["cache-control"] == "max-age=3600"
    assert "http" not in re.sub(r"<title>.*</title>", "", page).replace("http-equiv", "")


@pytest.mark.parametrize("name", ["redoc.standalone.js", "x", "..%2Fcore.py", "%2Fetc%2Fpasswd"])
async def test_no_other_file_is(client: httpx.AsyncClient, name: str) -> None:
    assert (await client.get(f"/docs/assets/{name}")).status_code in (404, 422)


class TestPrivate:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(api_keys="secret", private_docs=True)

    async def test_the_files_are_as_private_as_the_page(self, client: httpx.AsyncClient) -> None:
        for path in ("/docs", "/docs/assets/swagger-ui.css", "/openapi.json"):
            assert (await client.get(path)).status_code == 401
