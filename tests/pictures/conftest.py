"""A font with Chinese characters for these tests; without one on this machine they are skipped."""

import pytest

from tool_server.pictures.font import Fonts, NoFont, find


@pytest.fixture(scope="session")
def fonts() -> Fonts:
    try:
        return find("")
    except NoFont as error:
        pytest.skip(str(error))
