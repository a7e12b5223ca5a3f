"""This room sets Envoi up as an operator does: a settings file, an outbox, people, a worker.

What is measured goes through the names that applications have: `Mailer`, the commands.
"""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Generator
from contextlib import closing, contextmanager, nullcontext, redirect_stdout
from io import StringIO
from pathlib import Path

from bench import mails, postgres
from bench.order import Order
from envoi import Event, Mailer, ReadyMail, cli, parse_mailbox

# Events name one of them; more would only make the set-up longer.
USERS = 200
_SETTINGS = """\
[application]
name = "Bench"
base_url = "https://app.example"
from = "{sender}"

[smtp]
host = "127.0.0.1"
port = {port}
connections = {connections}
# The peers keep their connections too.
messages_per_connection = 100000

[delivery]
# A relay that hangs is not waited for at the end.
drain_s = 1

[outbox]
url = "{url}"
"""
_PEOPLE = """
[directory]
kind = "sql"
url = "sqlite:///{people}"
users = "SELECT id, login, first_name, last_name, email, is_active, is_admin FROM person"
"""


@contextmanager
def opened(order: Order, people: int = 0) -> Generator[Mailer]:
    """Make an outbox with its tables; options: `server`, the place of a PostgreSQL.

    Args:
        order: What the program was told.
        people: How many an application's own table of users has; 0: Envoi's own few users.
    """
    place = order.option("server")
    sqlite = nullcontext(f"sqlite:///{order.place / 'envoi.db'}")
    with postgres.database(place) if place else sqlite as url:
        path = settings_path(order)
        text = _SETTINGS.format(
            sender=mails.SENDER, port=order.port, connections=order.connections, url=url
        )
        if people:
            make_people(order.place / "people.db", people)
            text += _PEOPLE.format(people=order.place / "people.db")
        path.write_text(text, "utf-8")
        mailer = Mailer.from_file(path)
        try:
            mailer.outbox.upgrade()
            if not people:
                _add_users(order)
            yield mailer
        finally:
            mailer.close()


def settings_path(order: Order) -> Path:
    """Return where the settings of this order stand."""
    return order.place / "envoi.toml"


def envoi(order: Order, *words: str) -> str:
    """Run a command to its end, in this process, which saves a start; return what it printed.

    Raises:
        RuntimeError: It did not do what was asked.
    """
    printed = StringIO()
    with redirect_stdout(printed):
        code = cli.main(["--config", str(settings_path(order)), *words])
    if code:
        raise RuntimeError(f"envoi {' '.join(words[:2])} ended with {code}")
    return printed.getvalue()


def servers(order: Order, worker_pid: int = 0) -> dict[str, object]:
    """Return what a program tells of processes: the database's server, and the worker.

    Args:
        order: What the program was told.
        worker_pid: Of an `envoi work`; 0 where there is none.
    """
    server = order.options.get("server_pid")
    return {"servers": [server] if server else [], "worker": worker_pid}


@contextmanager
def worker(order: Order) -> Generator["subprocess.Popen[bytes]"]:
    """Run `envoi work` beside this program; stopped gently with the block."""
    command = [sys.executable, "-m", "envoi", "--config", str(settings_path(order))]
    command += ["--log-level", "warning", "work"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.terminate()


def event(number: int, size: str) -> Event:
    """Return an event that one person hears of, in words as long as everybody's."""
    said = mails.words(size)
    return Event(
        kind="message",
        people={"recipients": (f"reader{number % USERS}",)},
        # The layout adds its own; together they weigh what the peers' mails do.
        facts={"title": said.subject, "body": (said.text * 2)[: _BODY_CHARS[size]]},
    )


_BODY_CHARS = {"small": 200, "large": 7_500}


def ready_mail(number: int, size: str) -> ReadyMail:
    """Return a ready-made mail with the words that everybody sends."""
    said = mails.words(size)
    to = (parse_mailbox(mails.recipient(number)),)
    return ReadyMail(to=to, subject=said.subject, text=said.text, html=said.html)


def make_people(path: Path, count: int) -> None:
    """Make an application's table of users."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TABLE person (id INTEGER PRIMARY KEY, login TEXT, first_name TEXT,"
            " last_name TEXT, email TEXT, is_active INTEGER, is_admin INTEGER)"
        )
        connection.executemany(
            "INSERT INTO person VALUES (?, ?, 'Ann', 'Lee', ?, 1, 0)",
            ((number + 1, f"reader{number}", mails.recipient(number)) for number in range(count)),
        )


def refuse_unsettled(order: Order) -> None:
    """Say when a delivery is not recorded as sent, though the sink had its mail.

    Asked once per row, with the option `checks`.

    Raises:
        RuntimeError: One is not.
    """
    if not order.option("checks"):
        return
    counts = json.loads(envoi(order, "outbox", "stats", "--json"))["deliveries"]
    others = {state: count for state, count in counts.items() if count and state != "sent"}
    if others:
        raise RuntimeError(f"expected every delivery to be sent, found {others}")


def _add_users(order: Order) -> None:
    path = order.place / "users.json"
    people = [
        {"login": f"reader{number}", "email": mails.recipient(number)} for number in range(USERS)
    ]
    path.write_text(json.dumps(people), "utf-8")
    envoi(order, "user", "import", str(path))
