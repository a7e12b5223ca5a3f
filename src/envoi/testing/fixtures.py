"""This room is the pytest fixtures, for `pytest_plugins = ["envoi.testing.fixtures"]`."""

from collections.abc import Iterator

import pytest

from envoi.testing.recorder import Recorder
from envoi.testing.relay import FaultyRelay


@pytest.fixture
def envoi_recorder() -> Recorder:
    """Return a recorder; give a worker `envoi_recorder.carrier()`."""
    return Recorder()


@pytest.fixture
def faulty_relay() -> Iterator[FaultyRelay]:
    """Return a relay that listens on loopback and is well until a script says otherwise."""
    with FaultyRelay() as relay:
        yield relay
