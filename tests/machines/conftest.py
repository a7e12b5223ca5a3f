"""A site on the cluster of the module that asks for it."""

import pytest

from tests.processes.site import Site


@pytest.fixture
def site(cluster, tmp_path, faulty_relay):
    site = Site(tmp_path, cluster.url, faulty_relay, {})
    yield site
    site.close()
