"""What every room's tests may ask for: a database on either engine, fresh for each test."""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from envoi.outbox import Outbox, open_outbox
from tests.postgres import PostgresServer, open_server

pytest_plugins = ["envoi.testing.fixtures"]

ENGINES = ("sqlite", "postgresql")

# A program that its tests start as a process of its own; nothing to be collected.
collect_ignore = ["integrations/django_errors.py", "integrations/django_site.py"]

# A shell starts what runs in its background without Ctrl-C, and every process started from there
# inherits that: tests that press it would wait for nothing.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No test asserts a time, and two cores may be busy. In CI hypothesis does this by itself, and
# tries the same examples at every run.
hypothesis.settings.register_profile("patient", hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The run's PostgreSQL server."""
    server = open_server()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory) -> Path:
    """A SQLite file that already has the tables."""
    path = tmp_path_factory.mktemp("template") / "envoi.db"
    outbox = open_outbox(f"sqlite:///{path}")
    outbox.upgrade()
    outbox.close()
    return path


@pytest.fixture
def sqlite_url(sqlite_template, tmp_path) -> str:
    """Address of a fresh SQLite outbox with tables."""
    path = tmp_path / "envoi.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgresql_url(postgres_server) -> Iterator[str]:
    """Address of a fresh PostgreSQL outbox with tables."""
    with postgres_server.database() as name:
        yield postgres_server.url(name)


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)], ids=str
)
def outbox_url(request) -> str:
    """Address of a fresh outbox with tables, once per engine."""
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def outbox(outbox_url) -> Iterator[Outbox]:
    """A fresh outbox with tables, once per engine."""
    outbox = open_outbox(outbox_url)
    yield outbox
    outbox.close()


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)], ids=str
)
def empty_url(request, tmp_path) -> Iterator[str]:
    """Address of a fresh database without our tables, once per engine."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server = request.getfixturevalue("postgres_server")
    with server.database(template="template0") as name:
        yield server.url(name)
