"""A Kallithea of our own making, and the three lines of the how-to in it."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.integrations.kallithea.stand_in import stand_in

HOW_TO = Path(__file__).parents[3] / "docs" / "how-to" / "kallithea.md"
LINES = re.compile(r"```python\n(# .*extensions\.py\n.*?)```", re.DOTALL)


@pytest.fixture
def kallithea(tmp_path, sqlite_template, faulty_relay, monkeypatch):
    """A Kallithea whose outbox is a file beside its ini, with its own send_email still there."""
    monkeypatch.delenv("ENVOI_CONFIG", raising=False)
    shutil.copyfile(sqlite_template, tmp_path / "envoi.db")
    with stand_in(tmp_path, faulty_relay.port) as host:
        for name, module in host.modules.items():
            monkeypatch.setitem(sys.modules, name, module)
        yield host


@pytest.fixture
def extended(kallithea):
    """The same with the three lines of the how-to executed as its `extensions.py`."""
    [lines] = LINES.findall(HOW_TO.read_text("utf-8"))
    exec(compile(lines, "extensions.py", "exec"), {})
    yield kallithea
    kallithea.send_email.__self__.close()
