"""Which missing pages are broken links, and what is shown of them."""

import re
from typing import cast

import pytest

from envoi import Request
from envoi.core.broken_link import MAX_LISTED, MAX_URL_CHARS, Tally, digest, found

HOST = "wiki.test"
URL = f"https://{HOST}/pages/weekly?page=2"


def request(referrer=f"https://{HOST}/start", url=URL, **headers):
    named = {"Referer": referrer, "User-Agent": "Browser/1", **headers}
    return Request(method="GET", url=url, client="192.0.2.7", headers=tuple(named.items()))


@pytest.mark.parametrize(
    ("referrer", "is_internal"),
    [
        pytest.param(f"https://{HOST}/start", True, id="own page"),
        pytest.param(f"http://{HOST.upper()}/start?q=1", True, id="own page, other scheme, query"),
        pytest.param("https://blog.test/wiki", False, id="page of somebody else"),
        pytest.param(f"https://{HOST}.evil.test/", False, id="host that begins like ours"),
        pytest.param(f"https://{HOST}:8443/start", False, id="another port"),
        pytest.param("android-app://com.example/", False, id="an application"),
    ],
)
def test_a_page_that_another_page_leads_to_is_a_broken_link(referrer, is_internal):
    link = found(request(referrer))

    assert link is not None
    assert (link.is_internal, link.host, link.url) == (is_internal, HOST, URL)
    assert (link.referrer, link.user_agent, link.client) == (referrer, "Browser/1", "192.0.2.7")


@pytest.mark.parametrize(
    ("referrer", "url"),
    [
        pytest.param("", URL, id="nobody linked to it"),
        pytest.param("https://search.test/?q=wiki", URL, id="a search engine's results"),
        pytest.param(URL, URL, id="the page itself"),
        pytest.param(URL.replace("https", "http"), URL, id="the page itself, another scheme"),
        pytest.param("/pages/weekly?page=2", URL, id="the page itself, without a host"),
        pytest.param("http://[", URL, id="no address"),
    ],
)
def test_noise_is_none(referrer, url):
    assert found(request(referrer, url)) is None


def test_a_referrer_without_the_last_slash_is_the_page_itself_where_slashes_are_added():
    asked = request(f"https://{HOST}/pages", f"https://{HOST}/pages/")

    assert found(asked, appends_slash=True) is None
    assert found(asked, appends_slash=False) is not None


def test_what_a_pattern_matches_anywhere_in_path_and_query_is_ignored():
    assert found(request(), [re.compile(r"^/pages/.*page=2$")]) is None
    assert found(request(), [re.compile("^https")]) is not None


def test_secrets_are_masked_and_strangers_texts_cut_and_put_on_one_line():
    link = found(
        request(
            "https://blog.test/\r\nBcc: all@wiki.test",
            f"https://{HOST}/reset/?token=s3cretvalue&" + "x" * 8_000,
            Cookie="session=c00kievalue",
            **{"User-Agent": "evil c00kievalue\x1b[2J"},
        )
    )

    assert link is not None
    shown = repr(link)
    assert "s3cretvalue" not in shown
    assert "c00kievalue" not in shown
    assert not any(ord(letter) < 32 for letter in link.referrer + link.url + link.user_agent)
    assert len(link.url) <= MAX_URL_CHARS


def test_equal_links_share_page_and_target_without_their_queries():
    one = found(request(url=f"https://{HOST}/pages/weekly?page=2"))
    other = found(request(f"https://{HOST}/start?sort=1", f"https://{HOST}/pages/weekly?page=3"))
    another = found(request(url=f"https://{HOST}/pages/daily"))

    assert one is not None
    assert other is not None
    assert another is not None
    assert one.fingerprint == other.fingerprint != another.fingerprint


def test_a_digest_lists_so_many_and_counts_all():
    links = [found(request(url=f"https://{HOST}/pages/{number}")) for number in range(60)]
    tallies = [
        Tally(link=link, count=9, untold=2, first_at_ms=1, last_at_ms=5) for link in links if link
    ]

    event = digest(tallies, 7, ["ops@example.test"])

    assert len(cast("list[object]", event.facts["links"])) == MAX_LISTED
    assert event.facts["count"] == 60 * 2 + 7
    assert event.facts["unlisted"] == 10 * 2 + 7
    assert event.people == {"recipients": ("ops@example.test",)}
