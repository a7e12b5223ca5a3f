"""This room runs one row on one engine in a process of its own, so that it can be ended whole."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from faults.process import ROOT
from faults.row import Engine, NotHereError, Row, Tally
from faults.rows import row_of
from faults.site import Ground, Site
from tests.postgres import PostgresServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What is run.

    Args:
        row_id: Which fault.
        engine: On what.
        seed: The chances.
        is_quick: The quick form.
        messages: How many; 0: as the row likes.
        folder: Where; empty at first.
        url: A fresh outbox; empty: on a PostgreSQL server of its own, in `server`.
        server: Folder of that server; empty: none.
    """

    row_id: str
    engine: Engine
    seed: int
    is_quick: bool
    messages: int
    folder: str
    url: str
    server: str

    @property
    def rerun(self) -> str:
        """The command that runs it again."""
        quick = "--quick " if self.is_quick else ""
        many = f" --messages {self.messages}" if self.messages else ""
        return (
            f'make faults ARGS="{quick}--only {self.row_id} --engine {self.engine} '
            f'--seed {self.seed}{many}"'
        )


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What came of a cell.

    Args:
        tally: The figures.
        not_here: Why it could not be run on this machine; empty: it was.
        seconds: How long it took.
    """

    tally: Tally = field(default_factory=Tally)
    not_here: str = ""
    seconds: float = 0.0

    @property
    def is_clean(self) -> bool:
        """Whether nothing is to be answered for."""
        return self.tally.is_clean


def own_server_folder() -> Path:
    """Return a folder for a PostgreSQL server, short because a socket's path is bounded."""
    return Path(tempfile.gettempdir()) / f"envoi-pg-{uuid.uuid4().hex[:12]}"


def run_cell(cell: Cell, limit_s: float) -> Outcome:
    """Run a cell in a process of its own; end it, and everything it started, after `limit_s`."""
    result = Path(cell.folder) / "outcome.json"
    began_s = time.monotonic()
    with (Path(cell.folder) / "cell.log").open("w") as log:
        popen = subprocess.Popen(
            (sys.executable, "-m", "faults.cell", json.dumps(asdict(cell)), str(result)),
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        because = _waited(popen, limit_s)
    if cell.server:
        _sweep(Path(cell.server))
    outcome = _read(result) if result.exists() and not because else Outcome()
    if because or not result.exists():
        outcome.tally.broken.append(because or f"its process ended with {popen.returncode}")
    outcome.seconds = time.monotonic() - began_s
    return outcome


def _waited(popen: "subprocess.Popen[bytes]", limit_s: float) -> str:
    try:
        popen.wait(limit_s)
    except subprocess.TimeoutExpired:
        return f"stopped after {limit_s:g} s"
    finally:
        # Its workers, frozen ones too, are of its group.
        with suppress(ProcessLookupError):
            os.killpg(popen.pid, signal.SIGKILL)
        popen.wait()
    return ""


def _sweep(folder: Path) -> None:
    """Stop the server of a cell that could not do it itself."""
    if not folder.exists():
        return
    server = PostgresServer(folder)
    server.forget_others()
    server.stop()


def _read(path: Path) -> Outcome:
    table: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return Outcome(tally=Tally(**table["tally"]), not_here=table["not_here"])


def main() -> None:
    """Run the cell of the command line and write down what came of it."""
    cell = Cell(**json.loads(sys.argv[1]))
    outcome = _on_ground(cell)
    result = Path(sys.argv[2])
    draft = result.with_suffix(".draft")
    draft.write_text(json.dumps(asdict(outcome)), "utf-8")
    draft.rename(result)


def _on_ground(cell: Cell) -> Outcome:
    if not cell.server:
        return _at_site(cell, cell.url, None)
    server = PostgresServer(Path(cell.server))
    try:
        with server.database() as name:
            return _at_site(cell, server.url(name), server)
    finally:
        server.stop()


def _at_site(cell: Cell, url: str, server: PostgresServer | None) -> Outcome:
    ground = Ground(
        folder=Path(cell.folder), url=url, engine=cell.engine, is_quick=cell.is_quick,
        messages=cell.messages, server=server,
    )  # fmt: skip
    site = Site(ground)
    try:
        return _run(row_of(cell.row_id), site, cell.seed)
    finally:
        site.close()


def _run(row: Row, site: Site, seed: int) -> Outcome:
    try:
        return Outcome(tally=row.run(site, seed))
    except NotHereError as err:
        return Outcome(not_here=str(err))
    except Exception as err:  # noqa: BLE001 # whatever it was, the row failed and the others go on
        traceback.print_exc()
        found = _last_tally(site)
        found.broken.append(f"{type(err).__name__}: {err}")
        return Outcome(tally=found)


def _last_tally(site: Site) -> Tally:
    try:
        return site.tally()
    except Exception as err:  # noqa: BLE001 # the database may be what is broken
        return Tally(messages=len(site.accepted), notes=[f"no figures: {err}"])


if __name__ == "__main__":
    main()
