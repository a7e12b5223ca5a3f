"""How long things are kept, and how fast a relay and a domain get mail."""

import pytest

from envoi.errors import SettingsError
from envoi.settings import from_mapping


def read(tmp_path, **sections):
    return from_mapping(sections, tmp_path)


def problems(tmp_path, **sections):
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, **sections)
    return [str(problem) for problem in caught.value.problems]


def test_content_is_kept_no_longer_than_its_rows(tmp_path):
    told = problems(tmp_path, retention={"content_days": 91})

    assert told == ["retention.content_days: expected at most rows_days, 90, got 91"]


@pytest.mark.parametrize(("content_days", "rows_days"), [(91, 0), (0, 1), (0, 0), (7, 7)], ids=str)
def test_for_ever_is_longer_than_anything(tmp_path, content_days, rows_days):
    kept = {"content_days": content_days, "rows_days": rows_days}

    assert read(tmp_path, retention=kept).retention.rows_days == rows_days


def test_days_that_do_not_fit_are_not_compared(tmp_path):
    told = problems(tmp_path, retention={"content_days": 91, "rows_days": -1})

    assert told == ["retention.rows_days: expected 0..36500, got -1"]


def test_nothing_is_limited_by_itself(tmp_path):
    smtp = read(tmp_path).smtp

    assert (smtp.per_minute, smtp.domain_per_minute, smtp.domains_per_minute) == (0, 0, ())


def test_domains_have_numbers_of_their_own(tmp_path):
    smtp = {"domains_per_minute": ["GMail.com = 030", "bücher.example=0"]}

    assert read(tmp_path, smtp=smtp).smtp.domains_per_minute == (
        "gmail.com=30",
        "xn--bcher-kva.example=0",
    )


@pytest.mark.parametrize(
    "text", ["gmail.com", "gmail.com=", "=30", "gmail.com=-1", "gmail.com=1.5", "a b.test=1",
             "gmail.com=1000001x", "gmail.com=٣"]
)  # fmt: skip
def test_what_is_no_domain_with_a_number_is_refused(tmp_path, text):
    [told] = problems(tmp_path, smtp={"domains_per_minute": [text]})

    assert told.startswith("smtp.domains_per_minute: expected a list of DOMAIN=NUMBER")


@pytest.mark.parametrize("section", ["smtp", "relays.bulk"])
def test_a_domain_is_named_once_per_relay(tmp_path, section):
    twice = {"domains_per_minute": ["gmail.com=30", "example.org=1", "gmail.com=60"]}
    tables: dict = {"smtp": {}, "relays": {"bulk": {"host": "bulk.test"}}}
    (tables["smtp"] if section == "smtp" else tables["relays"]["bulk"]).update(twice)

    assert problems(tmp_path, **tables) == [
        f"{section}.domains_per_minute: expected each domain once, got gmail.com"
    ]


def test_a_list_of_domains_comes_from_a_variable_too(tmp_path):
    env = {"ENVOI_SMTP__DOMAINS_PER_MINUTE": "gmail.com=30, example.org=5"}

    found = from_mapping({}, tmp_path, env).smtp.domains_per_minute

    assert found == ("gmail.com=30", "example.org=5")
