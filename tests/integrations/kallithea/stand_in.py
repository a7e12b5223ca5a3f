"""Something of Kallithea's shape in this process: modules under its names, all code our own.

It has what the replacement looks for (`CONFIG`, the model's `Session`, `notification.send_email`
with callers that look it up the way Kallithea's do) and a database with Kallithea's tables.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker

from envoi.mailer import Mailer
from envoi.testing import Recorder, Sent
from tests.kallithea.schema import KallitheaUser, make_kallithea_db

USERS = (
    KallitheaUser(username="root", email="root@example.org", is_admin=True),
    KallitheaUser(username="nomail", is_admin=True),
    KallitheaUser(username="ann", email="ann@example.org"),
)
INI = """\
[DEFAULT]
email_to = ops@example.org, root@example.org
app_email_from = Kallithea Server <kallithea@example.org>
email_prefix = [Kal]
smtp_server = 127.0.0.1
smtp_port = {port}
canonical_url = https://code.example.org

[app:main]
sqlalchemy.url = sqlite:///%(here)s/kallithea.db
"""


class Table(DeclarativeBase):
    pass


class Comment(Table):
    __tablename__ = "comments"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIn:
    """A running Kallithea, as far as its mail goes.

    Args:
        folder: Holds `my.ini`, `kallithea.db` and the outbox.
        modules: Its modules by name.
        sessions: `kallithea.model.meta.Session`.
    """

    folder: Path
    modules: dict[str, ModuleType]
    sessions: scoped_session[Any]

    @property
    def ini(self) -> Path:
        return self.folder / "my.ini"

    @property
    def config(self) -> dict[str, Any]:
        return self.modules["kallithea"].CONFIG

    @property
    def send_email(self) -> Callable[..., None]:
        """What Kallithea's callers find at the moment."""
        return self.modules["kallithea.model.notification"].send_email

    @property
    def spooled(self) -> list[Path]:
        return sorted((self.folder / "envoi-spool").glob("*.json"))

    def write_comment(self, text: str = "Nice") -> None:
        """Change something that the next commit decides."""
        self.sessions.add(Comment(text=text))

    def comments(self) -> int:
        return self.sessions.query(Comment).count()

    def mailer(self) -> Mailer:
        """Return a mailer as `envoi work` has it: by the same settings, in nobody's way."""
        return Mailer.from_file(self.ini)

    def deliver(self) -> tuple[Sent, ...]:
        """Let a worker deliver all that is stored or spooled; return what left."""
        mailer, recorder = self.mailer(), Recorder()
        worker = mailer.make_worker(recorder.carrier())
        worker.run_until_idle()
        worker.drain()
        mailer.close()
        return recorder.sent


@contextmanager
def stand_in(folder: Path, port: int) -> Iterator[StandIn]:
    """Make the modules and the database; the caller puts the modules into `sys.modules`."""
    (folder / "my.ini").write_text(INI.format(port=port), "utf-8")
    url = f"sqlite:///{folder / 'kallithea.db'}"
    make_kallithea_db(url, USERS)
    engine = create_engine(url)
    Table.metadata.create_all(engine)
    sessions = scoped_session(sessionmaker(engine))
    modules = {
        name: ModuleType(name)
        for name in (
            "kallithea",
            "kallithea.model",
            "kallithea.model.meta",
            "kallithea.model.notification",
        )
    }
    for name, module in modules.items():
        package, _, own = name.rpartition(".")
        if package:
            setattr(modules[package], own, module)
    config = {"__file__": str(folder / "my.ini"), "here": str(folder)}
    vars(modules["kallithea"])["CONFIG"] = config
    vars(modules["kallithea.model.meta"])["Session"] = sessions
    vars(modules["kallithea.model.notification"])["send_email"] = _not_replaced
    yield StandIn(folder=folder, modules=modules, sessions=sessions)
    sessions.remove()
    engine.dispose()


def _not_replaced(*arguments: object, **named: object) -> None:
    raise AssertionError(f"Kallithea's own send_email was called: {arguments} {named}")
