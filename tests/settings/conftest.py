"""What tests of a Kallithea's ini share."""

import pytest

from envoi.settings import load


@pytest.fixture
def ini(tmp_path):
    """Return `ini(*lines)`: the settings of a file with these lines in `[app:main]`."""

    def read(*lines, env=None):
        path = tmp_path / "my.ini"
        path.write_text("\n".join(["[DEFAULT]", "[app:main]", "use = egg:kallithea", *lines]))
        path.chmod(0o600)
        return load(path, env or {})

    return read
