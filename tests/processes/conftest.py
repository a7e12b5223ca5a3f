"""A folder with settings, an outbox on either engine, a real relay, and real worker processes."""

import pytest

from tests.processes.site import Site

# A program for gunicorn: it begins at import.
collect_ignore = ["wsgi_app.py"]


@pytest.fixture
def make_site(outbox_url, tmp_path, faulty_relay):
    """Return `make(**sections)`: a site whose settings are the usual ones and these."""
    made = []

    def make(**sections) -> Site:
        site = Site(tmp_path, outbox_url, faulty_relay, sections)
        made.append(site)
        return site

    yield make
    for site in made:
        site.close()


@pytest.fixture
def site(make_site) -> Site:
    """A site with a short lease and no wait after doubt."""
    return make_site()
