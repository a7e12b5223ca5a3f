"""Links: which of them lead a reader somewhere."""

import pytest

from envoi.core.kind import Fact, FactType, Kind, clean_facts
from envoi.core.links import lost_links

KIND = Kind(
    name="note",
    facts={
        "url": Fact(type=FactType.LINK),
        "more": Fact(type=FactType.LINK, is_required=False),
        "reset": Fact(type=FactType.OWN_LINK, is_required=False),
        "title": Fact(type=FactType.LINE, is_required=False),
    },
)
SITE = "https://code.example.org"
NO_LINK = "it is no link that may stand in a mail"
NO_BASE = "it is a path, and application.base_url is not set"


@pytest.mark.parametrize(
    ("given", "base_url", "expected"),
    [
        pytest.param({"url": "/7", "reset": "/r"}, SITE, {}, id="paths below the site"),
        pytest.param({"url": "https://x.test/7"}, "", {}, id="a URL needs no site"),
        pytest.param({"url": ""}, SITE, {"url": NO_LINK}, id="demanded, and empty"),
        pytest.param({"url": "javascript:x"}, SITE, {"url": NO_LINK}, id="not a link"),
        pytest.param({"url": "/7", "more": "", "reset": None}, SITE, {}, id="left out"),
        pytest.param({"url": "/7", "more": "x y"}, SITE, {"more": NO_LINK}, id="optional, broken"),
        pytest.param({"url": "/7", "reset": "/../r"}, SITE, {"reset": NO_LINK}, id="walks back"),
        pytest.param(
            {"url": "/7", "reset": "https://visitor.test/r"},
            "",
            {"url": NO_BASE, "reset": NO_BASE},
            id="no site",
        ),
        pytest.param({"url": "/7", "title": ""}, SITE, {}, id="not about links"),
    ],
)
def test_links_that_lead_nowhere_are_named(given, base_url, expected):
    assert lost_links(KIND, given, clean_facts(KIND, given), base_url) == expected
