"""Calls of the real entry point: in this process where that is enough, else in one of their own."""

import contextlib
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from envoi.assembly import Parts, assemble
from envoi.cli import main
from envoi.settings import load
from envoi.testing import FaultyRelay

# Nothing here waits longer than this; a machine that is busy may take a while.
BOUND_S = 30


@dataclass(frozen=True)
class Ended:
    """How a call ended."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@dataclass(frozen=True)
class Home:
    """A folder with a settings file, where `envoi` is called."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "envoi.toml"

    def set(self, **sections: dict[str, object]) -> None:
        """Write the settings; JSON's texts, numbers and lists are TOML's."""
        lines = []
        for section, values in sections.items():
            lines.append(f"[{section.replace('__', '.')}]")
            lines += [f"{key.rstrip('_')} = {json.dumps(value)}" for key, value in values.items()]
        self.config.write_text("\n".join(lines) + "\n")
        self.config.chmod(0o600)

    def run(self, *words: str, stdin: str | bytes = "") -> Ended:
        """Call `envoi` here, in this process."""
        content = stdin if isinstance(stdin, bytes) else stdin.encode()
        typed = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8")
        kept = (io.BytesIO(), io.BytesIO())
        out, err = (io.TextIOWrapper(stream, encoding="utf-8") for stream in kept)
        before, sys.stdin = sys.stdin, typed
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = main(["--config", str(self.config), *words])
        finally:
            sys.stdin = before
        out.flush()
        err.flush()
        return Ended(code, *(stream.getvalue().decode() for stream in kept))

    def spawn(self, *words: str, **more) -> subprocess.Popen:
        """Call `envoi` here, in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "envoi", "--config", str(self.config), *words],
            cwd=self.folder,
            env={**os.environ, **more.pop("env", {})},
            stdin=more.pop("stdin", subprocess.DEVNULL),
            stdout=more.pop("stdout", subprocess.PIPE),
            stderr=more.pop("stderr", subprocess.PIPE),
            text=True,
            **more,
        )

    @contextlib.contextmanager
    def parts(self) -> Iterator[Parts]:
        """The rooms that the settings describe, to look inside."""
        parts = assemble(load(self.config, {}))
        try:
            yield parts
        finally:
            parts.outbox.close()


@pytest.fixture(autouse=True)
def logging_restored(monkeypatch):
    """A call sets up logging for its process; this process has other tests."""
    for name in list(os.environ):
        if name.startswith("ENVOI_"):
            monkeypatch.delenv(name)
    logger = logging.getLogger("envoi")
    before = (logger.handlers[:], logger.propagate, logger.level)
    yield
    logger.handlers[:], logger.propagate = before[0], before[1]
    logger.setLevel(before[2])


@pytest.fixture
def empty_home(tmp_path) -> Home:
    """A folder without anything."""
    return Home(tmp_path)


@pytest.fixture
def home(tmp_path, sqlite_url) -> Home:
    """An outbox on SQLite, no relay."""
    home = Home(tmp_path)
    home.set(outbox={"url": sqlite_url})
    return home


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)], ids=str
)
def any_home(request, tmp_path) -> Home:
    """An outbox on either engine, no relay."""
    home = Home(tmp_path)
    home.set(outbox={"url": request.getfixturevalue(f"{request.param}_url")})
    return home


@pytest.fixture
def relay() -> Iterator[FaultyRelay]:
    """A relay on loopback that is well until a test says otherwise."""
    with FaultyRelay() as relay:
        yield relay


@pytest.fixture
def mail_home(tmp_path, sqlite_url, relay) -> Home:
    """An outbox on SQLite with that relay."""
    home = Home(tmp_path)
    home.set(
        outbox={"url": sqlite_url},
        smtp={"host": "127.0.0.1", "port": relay.port, "tls": "none"},
        application={"from": "Wiki <wiki@example.org>", "base_url": "https://wiki.example.org"},
    )
    return home
