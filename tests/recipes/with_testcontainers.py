"""One container for the session, and one org for each test."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import HealthcheckWaitStrategy

ADMIN_TOKEN = str(uuid4())


@pytest.fixture(scope="session")
def sandbox_url() -> Iterator[str]:
    container = (
        DockerContainer("registry.example.com/promo-sandbox:0.1.0")
        .with_exposed_ports(8080)
        .with_env("SANDBOX_AUTH", "lenient")
        .with_env("SANDBOX_ADMIN_TOKEN", ADMIN_TOKEN)
        .waiting_for(HealthcheckWaitStrategy())
    )
    with container as sandbox:
        yield f"http://{sandbox.get_container_host_ip()}:{sandbox.get_exposed_port(8080)}"


@pytest.fixture
def org_url(sandbox_url: str) -> str:
    """The base URL that replaces scheme and host of every vendor."""
    return f"{sandbox_url}/~{uuid4()}"
