"""A folder as a user of Envoi has it: settings, an outbox with people in it, and a real relay."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

from envoi.mailer import Mailer
from examples.demo import USERS
from examples.smtp_sink import Sink, open_sink
from tests.walk.people import add_users

ROOT = Path(__file__).parent.parent
# Long enough for a machine with far more to do than this; nothing waits for it when all is well.
PATIENCE_S = 60

SETTINGS = """\
[application]
base_url = "https://code.example.org"
from = "Code <noreply@code.example.org>"

[smtp]
host = "127.0.0.1"
port = {port}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where a program of the docs or of `examples/` runs.

    Args:
        folder: Holds `envoi.toml` and `envoi.db`.
        sink: The relay that the settings name.
        mailer: On the same outbox, for looking at what a program did.
    """

    folder: Path
    sink: Sink
    mailer: Mailer

    @property
    def env(self) -> dict[str, str]:
        """What a program finds in its environment: this clone, this desk, nobody's home."""
        return {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(self.folder),
            "ENVOI_CONFIG": str(self.folder / "envoi.toml"),
            "DJANGO_DB": str(self.folder / "envoi.db"),
        }

    def run(self, *words: str, stdin: str = "") -> str:
        """Run a Python program to its end; return what it printed."""
        done = subprocess.run(  # our own programs
            [sys.executable, *words],
            cwd=self.folder,
            env=self.env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def deliver(self) -> list[EmailMessage]:
        """Deliver what is due; return every mail that the relay has by then."""
        worker = self.mailer.make_worker()
        worker.run_until_idle()
        worker.drain()
        return self.mails()

    def mails(self) -> list[EmailMessage]:
        """Return every mail that the relay has."""
        raw = (path.read_bytes() for path in self.sink.mails)
        return [message_from_bytes(content, policy=default) for content in raw]


@contextmanager
def open_desk(folder: Path, template: Path, settings: str = SETTINGS) -> Iterator[Desk]:
    """Lay out a folder; `template` is a SQLite file that has the tables."""
    shutil.copyfile(template, folder / "envoi.db")
    with open_sink(folder / "taken") as sink:
        path = folder / "envoi.toml"
        path.write_text(settings.format(port=sink.port), "utf-8")
        mailer = Mailer.from_file(path)
        add_users(mailer, *USERS)
        try:
            yield Desk(folder=folder, sink=sink, mailer=mailer)
        finally:
            mailer.close()


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for a condition; fail when it does not come true."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)
