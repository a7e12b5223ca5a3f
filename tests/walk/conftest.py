"""A mailer over a fresh outbox on either engine, and a relay that can be told to misbehave."""

import pytest

from envoi.mailer import Mailer
from envoi.settings import from_mapping


@pytest.fixture
def make_mailer(outbox_url, tmp_path):
    """Return `make(**sections)`: a mailer whose settings are these TOML sections."""
    made = []

    def make(**sections) -> Mailer:
        tables = {
            "outbox": {"url": outbox_url, **sections.pop("outbox", {})},
            "application": {
                "base_url": "https://code.example.test",
                "from": "Code <noreply@example.test>",
                **sections.pop("application", {}),
            },
            **sections,
        }
        mailer = Mailer.from_settings(from_mapping(tables, tmp_path))
        made.append(mailer)
        return mailer

    yield make
    for mailer in made:
        mailer.close()


@pytest.fixture
def mailer(make_mailer, faulty_relay):
    """A mailer whose relay is `faulty_relay`, clean unless a test says otherwise."""
    return make_mailer(smtp={"host": "127.0.0.1", "port": faulty_relay.port})
