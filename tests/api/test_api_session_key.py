"""The key that signs browser sessions: made once, whole, and never a part of it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from api_world import tokens_of

from headwater import settings
from headwater.api.browsers import Browsers
from headwater.errors import HomeError
from headwater.project import ServingProject


def browsers(folder: Path) -> Browsers:
    return Browsers(ServingProject(settings.load(folder)).home, tokens_of(folder))


def test_who_begins_at_once_gets_the_same_key(tmp_path: Path) -> None:
    text, token = tokens_of(tmp_path).create("me", "read")
    assert text
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: browsers(tmp_path), range(8)))
    cookie = found[0].begin(token).cookie
    assert all(one.of(cookie) is not None for one in found)
    assert not list((tmp_path / ".headwater").glob("server.*.draft"))


def test_a_part_of_a_key_signs_nothing(tmp_path: Path) -> None:
    browsers(tmp_path)
    (tmp_path / ".headwater" / "server.key").write_bytes(b"")
    with pytest.raises(HomeError, match="damaged") as caught:
        browsers(tmp_path)
    assert caught.value.hint is not None
