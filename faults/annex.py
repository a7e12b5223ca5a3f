"""This room is many small outboxes beside one relay: one for each moment at which a program dies.

Each crash point gets a fresh outbox with one mail in it or one to be handed in, so that what a
kill left is told apart from what the kill before left.
"""

import json
import shutil
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Generator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import IO, Any, Self, cast

import psycopg
from psycopg.sql import SQL, Identifier

from faults.evidence import Evidence
from faults.process import ROOT
from faults.row import Tally
from faults.site import Site
from faults.verdict import Truth, tally
from tests.postgres import TEMPLATE

# The name of an annex is part of its addresses, which its host's relay must tell apart.
_NUMBERS = count(1)


class Annex(Site):
    """A site with an outbox of its own and its host's relay.

    Args:
        host: Whose relay it has.
        folder: Its own, empty.
        url: A fresh outbox with tables.
    """

    def __init__(self, host: Site, folder: Path, url: str) -> None:
        """Write its settings."""
        super().__init__(replace(host.ground, folder=folder, url=url))
        self.relay = host.relay
        self.set()

    def close(self) -> None:
        """End everything that was started; the relay is the host's."""
        del self.relay
        super().close()

    @property
    def evidence(self) -> Evidence:
        """What the ledger says about whom this annex wrote to."""
        seen = self.relay.evidence
        copies = {name: seen.copies[name] for name in self.accepted if name in seen.copies}
        return replace(seen, copies=copies)

    def judge(self) -> Tally:
        """Compare its outbox with its part of the ledger."""
        return tally(
            Truth(
                accepted=tuple(self.accepted),
                deliveries=tuple(self.deliveries),
                evidence=self.evidence,
                disruptions=tuple(self.disruptions),
            )
        )

    def let_go(self) -> None:
        """Close every connection to the outbox, as if nobody but the next program used it."""
        for mailer in self._mailers:
            mailer.close()

    @property
    def begun(self) -> set[str]:
        """To whom a content may be on its way by what the outbox says."""
        return self._addresses("state = 'sending' AND begun = 1")

    @property
    def sent(self) -> set[str]:
        """Whose mail was sent by what the outbox says."""
        return self._addresses("state = 'sent'")

    @property
    def rows(self) -> tuple[int, ...]:
        """How many events, messages and deliveries there are."""
        tables = ("envoi_event", "envoi_message", "envoi_delivery")
        with self.mailer.parts.outbox.reading() as tx:
            counted = [tx.execute(f"SELECT COUNT(*) FROM {table}", {}) for table in tables]
        return tuple(int(str(rows[0][0])) for rows in counted)

    def _addresses(self, condition: str) -> set[str]:
        with self.mailer.parts.outbox.reading() as tx:
            found = tx.execute(f"SELECT address FROM envoi_delivery WHERE {condition}", {})
        return {str(address) for (address,) in found}

    @property
    def is_sound(self) -> bool:
        """Whether the database is whole, by its own word."""
        if self.engine != "sqlite":
            return True
        with closing(sqlite3.connect(self.url.removeprefix("sqlite:///"))) as connection:
            return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


class Annexes:
    """Makes annexes, as many as are asked for.

    Args:
        host: Their host; its own outbox stays unused.
    """

    def __init__(self, host: Site) -> None:
        """Begin with none."""
        self._host = host

    @contextmanager
    def one(self) -> Generator[Annex]:
        """An annex; when it is closed its folder and its database go with it."""
        folder = self._host.folder / f"annex{next(_NUMBERS)}"
        folder.mkdir()
        with self._database(folder) as url:
            annex = Annex(self._host, folder, url)
            try:
                yield annex
            finally:
                annex.close()
        shutil.rmtree(folder)

    def _database(self, folder: Path) -> AbstractContextManager[str]:
        if self._host.engine == "sqlite":
            # Never opened, so the one file is all of it.
            shutil.copyfile(self._host.url.removeprefix("sqlite:///"), folder / "envoi.db")
            return nullcontext(f"sqlite:///{folder / 'envoi.db'}")
        return _copied(self._host.url, f"annex_{uuid.uuid4().hex}")


@contextmanager
def _copied(url: str, name: str) -> Generator[str]:
    """A database beside another on its server, with fresh tables."""
    place = url.partition("?")[2].removeprefix("host=")
    with psycopg.connect(host=place, user="postgres", autocommit=True) as connection:
        connection.execute(
            SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), Identifier(TEMPLATE))
        )
        try:
            yield f"postgresql://postgres@/{name}?host={place}"
        finally:
            connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What became of a command.

    Args:
        code: Its exit code; None when it was killed.
        out: What it printed.
        at: The call before which it was killed; empty when it was not.
        calls: How many calls that matter it made; 0 when it was killed or nobody counted.
    """

    code: int | None
    out: str
    at: str = ""
    calls: int = 0


class Nursery:
    """The process whose children run commands; see `faults.nursery`."""

    def __init__(self) -> None:
        """Start it."""
        self._popen = subprocess.Popen(
            (sys.executable, "-m", "faults.nursery"),
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> Self:
        """Use it for a while."""
        return self

    def __exit__(self, *_error: object) -> None:
        """End it."""
        self._popen.kill()
        self._popen.communicate()

    def run(self, folder: Path, *words: str, point: int = 0, tracer: tuple[str, ...] = ()) -> Ended:
        """Run `envoi` with these words in a folder, in a process of its own.

        Args:
            folder: With `envoi.toml`.
            words: Behind `envoi`.
            point: Before which call that matters it kills itself, from 1; 0: never.
            tracer: Command of a tracer that is attached instead, but for the process id.
        """
        order = {"folder": str(folder), "words": words, "point": point, "tracer": tracer}
        cast("IO[str]", self._popen.stdin).write(json.dumps(order) + "\n")
        cast("IO[str]", self._popen.stdin).flush()
        answer: dict[str, Any] = json.loads(cast("IO[str]", self._popen.stdout).readline())
        return Ended(**answer)
