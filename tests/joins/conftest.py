"""Applications that hand in their own transaction, over every driver and toolkit of DESIGN 4.11."""

from dataclasses import replace

import pytest

from envoi.mailer import Mailer
from envoi.settings import from_mapping
from tests.joins.hosts import HOSTS, make_host
from tests.walk.people import add_users

APPLICATION = {"base_url": "https://code.example.test", "from": "Code <noreply@example.test>"}


@pytest.fixture
def make_mailer(tmp_path):
    """Return `make(url, **sections)`: a mailer over an outbox, without a relay."""
    made = []

    def make(url, **sections) -> Mailer:
        outbox = {"url": url, **sections.pop("outbox", {})}
        tables = {"outbox": outbox, "application": APPLICATION, **sections}
        mailer = Mailer.from_settings(from_mapping(tables, tmp_path))
        # Mail with a secret whose people are found within the caller's transaction.
        mailer.register(replace(mailer.parts.catalogue.kind("password_reset"), route_later=False))
        made.append(mailer)
        return mailer

    yield make
    for mailer in made:
        mailer.close()


@pytest.fixture(
    params=[
        pytest.param(name, marks=() if "sqlite" in name else pytest.mark.postgresql)
        for name in HOSTS
    ]
)
def host(request):
    """An application over a fresh database that has our tables as well as its own."""
    engine = "sqlite" if "sqlite" in request.param else "postgresql"
    url = request.getfixturevalue(f"{engine}_url")
    host = make_host(request.param, url)
    yield host
    host.close()


@pytest.fixture
def mailer(host, make_mailer):
    """A mailer whose outbox is in the application's own database, with the usual people in it."""
    mailer = make_mailer(host.url)
    add_users(mailer)
    return mailer
