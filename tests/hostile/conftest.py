"""Houses on either engine that the cases of a module share, and how much is generated."""

import shutil
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from envoi.testing import FaultyRelay
from tests.hostile.house import House, make_house

_PATIENT = settings(deadline=None, suppress_health_check=list(HealthCheck))
settings.register_profile("hostile", _PATIENT, max_examples=60)
# HYPOTHESIS_PROFILE=thorough python -m pytest tests/hostile/test_generated.py: about an hour.
settings.register_profile("thorough", _PATIENT, max_examples=10_000)


@pytest.fixture(
    scope="module",
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)],
    ids=str,
)
def shared_url(request, tmp_path_factory) -> Iterator[str]:
    """Address of an outbox that the cases of a module share, once per engine."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("hostile") / "envoi.db"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    server = request.getfixturevalue("postgres_server")
    with server.database() as name:
        yield server.url(name)


@pytest.fixture(scope="module")
def house(shared_url, tmp_path_factory) -> Iterator[House]:
    """A mailer with its relay, shared by the cases of a module."""
    with FaultyRelay() as relay:
        made = make_house(shared_url, tmp_path_factory.mktemp("house"), relay)
        yield made
        made.mailer.close()
