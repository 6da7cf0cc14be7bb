"""What a user sees of an error: their own lines, and what Headwater has to say, without its insides."""

import traceback

from headwater import Asset, check, flow, materialize
from headwater.errors import CheckFailed
from headwater.testing import project


def test_an_error_of_headwaters_own_shows_none_of_its_frames() -> None:
    with project():
        asset = Asset("refused", at="memory://refused")

        @materialize(asset)
        def refused() -> list[dict[str, int]]:
            return [{"x": 1}]

        @check(asset, blocking=True)
        def never(rows: object) -> bool:
            return False

        @flow
        def main(submitted: bool) -> None:
            if submitted:
                refused.submit().result()
            else:
                refused()

        for submitted in (False, True):
            try:
                main(submitted)
            except CheckFailed as error:
                files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
            assert [name for name in files if "headwater/assets" in name] == []
            assert files[:2] == [__file__, __file__]
