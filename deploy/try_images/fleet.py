"""The fleet of docker-compose.yml with two workers, without Grafana."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from deploy.try_images.compose import Service
from deploy.try_images.container import Container
from deploy.try_images.images import Store
from deploy.try_images.network import Network, address

# The service that each container runs, as `docker compose up --scale worker=2` names them.
CONTAINERS = {
    "redis": "redis",
    "api": "api",
    "worker-1": "worker",
    "worker-2": "worker",
    "prometheus": "prometheus",
}


@dataclass(frozen=True)
class Fleet:
    """The containers by name, the network, and a client of the API and of Prometheus."""

    containers: Mapping[str, Container]
    network: Network
    api: httpx.Client
    prometheus: httpx.Client

    @property
    def ours(self) -> list[Container]:
        """Return the containers of our own image."""
        return [self.containers[name] for name in ("api", "worker-1", "worker-2")]


@contextmanager
def prepared(
    services: Mapping[str, Service], store: Store, work: Path, key: str
) -> Iterator[Fleet]:
    """Make the containers without starting them, and end them all at last."""
    numbers = {name: number for number, name in enumerate(CONTAINERS)}
    names: dict[str, list[str]] = {}
    for name, which in CONTAINERS.items():
        names.setdefault(which, []).append(address(numbers[name]))
    store.clear()
    with ExitStack() as stack:
        network = stack.enter_context(Network(names))
        containers = {}
        for name, which in CONTAINERS.items():
            service = services[which]
            held = stack.enter_context(store.container(service.image))
            image, files = store.image(service.image), store.mount(held)
            container = Container(name, numbers[name], service, image, files, work)
            stack.callback(container.remove)
            containers[name] = container
        port = services["api"].environment["MULAN_PORT"]
        api = httpx.Client(
            base_url=f"http://{address(numbers['api'])}:{port}",
            headers={"Authorization": f"Bearer {key}"},
            timeout=120,
        )
        prometheus = httpx.Client(base_url=f"http://{address(numbers['prometheus'])}:9090")
        yield Fleet(containers, network, stack.enter_context(api), stack.enter_context(prometheus))
