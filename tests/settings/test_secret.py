"""No secret in a repr, a listing, a message or a pickle."""

import copy
import dataclasses
import json
import pickle

import pytest

from envoi import settings
from envoi.settings.secret import has_credentials, masked_url, shown

HIDDEN = "hunter2"


@pytest.mark.parametrize(
    "show",
    [
        str,
        repr,
        "{}".format,
        "{:>30}".format,
        lambda secret: f"{secret} {secret!r} {secret!a}",
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031
        lambda secret: repr({"password": [secret]}),
        lambda secret: repr(settings.Smtp(password=secret)),
        lambda secret: repr(dataclasses.asdict(settings.Smtp(password=secret))),
        lambda secret: json.dumps({"p": secret}, default=str),
    ],
)
def test_a_secret_shows_itself_nowhere(show):
    text = show(settings.Secret(HIDDEN))

    assert HIDDEN not in text
    assert "********" in text


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_is_not_pickled(protocol):
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(settings.Secret(HIDDEN), protocol)


def test_a_secret_is_a_value():
    secret = settings.Secret(HIDDEN)

    assert secret == settings.Secret(HIDDEN)
    assert secret != settings.Secret("other")
    assert secret != HIDDEN
    assert len({secret, settings.Secret(HIDDEN)}) == 1
    assert copy.deepcopy(secret) is copy.copy(secret) is secret
    assert (bool(secret), bool(settings.Secret()), str(settings.Secret())) == (True, False, "")


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("postgresql://u:hunter2@h/d", "postgresql://u:********@h/d"),
        ("postgresql://u:hun/ter@2@h/d", "postgresql://u:********@h/d"),
        ("postgresql://u@server:hunter2@h/d", "postgresql://u@server:********@h/d"),
        ("postgresql://u v:hunter 2@h/d", "postgresql://u v:********@h/d"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        (
            "postgresql://h/d?user=u&password=hunter2&x=1",
            "postgresql://h/d?user=u&password=********&x=1",
        ),
        ("sqlite:////a@b:c/d.db", "sqlite:////a@b:c/d.db"),
        ("hunter2", "********"),
        ("", ""),
    ],
)
def test_a_url_loses_its_password(url, masked):
    assert masked_url(url) == masked
    assert has_credentials(url) == (url != masked)


def test_settings_show_no_secret(tmp_path):
    tables = {
        "smtp": {"password": HIDDEN, "username": "u"},
        "outbox": {"url": f"postgresql://u:{HIDDEN}@h/d"},
    }

    loaded = settings.from_mapping(tables, tmp_path)

    assert loaded.smtp.password.reveal() == HIDDEN
    assert HIDDEN in loaded.outbox.url
    assert HIDDEN not in repr(loaded)
    assert HIDDEN not in str(loaded.listing())
    assert "url='postgresql://u:********@h/d'" in repr(loaded.outbox)


def test_a_shown_value_is_short_and_on_one_line():
    assert shown("a\n" * 500) == repr(("a\n" * 50) + "...")
    assert shown({"a": 1}) == "a table"
