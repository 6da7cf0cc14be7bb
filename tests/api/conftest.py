"""The shop with its past is made once; whoever changes it takes a copy."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_world import make_shop, served
from fastapi.testclient import TestClient


@pytest.fixture(scope="session")
def past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with a past, to be copied."""
    folder = tmp_path_factory.mktemp("past")
    make_shop(folder)
    return folder


@pytest.fixture
def shop(past: Path, tmp_path: Path) -> Path:
    """A shop of one's own."""
    folder = tmp_path / "shop"
    shutil.copytree(past, folder)
    return folder


@pytest.fixture
def client(shop: Path) -> Iterator[TestClient]:
    """A client that may do everything."""
    with served(shop, insecure=True) as (client, _):
        yield client


@pytest.fixture(scope="session")
def looked_at(past: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop that nobody changes."""
    folder = tmp_path_factory.mktemp("looked-at") / "shop"
    shutil.copytree(past, folder)
    return folder
