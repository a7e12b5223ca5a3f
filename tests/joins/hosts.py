"""Applications with a database of their own, each as its toolkit's documentation shows it."""

import asyncio
import contextlib
import uuid
from collections.abc import Callable
from typing import Any

import django
import sqlalchemy
from django.conf import settings
from sqlalchemy import create_engine, event
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

if not settings.configured:
    settings.configure(DATABASES={}, USE_TZ=True)
    django.setup()

from django.db import connections, transaction  # Django reads its settings first

Work = Callable[[Any], object]

CREATE = "CREATE TABLE app_row (id INTEGER PRIMARY KEY)"


class HostError(Exception):
    """The application's own reason to roll back."""


class Host:
    """An application.

    Args:
        url: Its database.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def transact(self, work: Work, *, commits: bool = True) -> None:
        """Run work in one transaction."""
        raise NotImplementedError

    def write(self, tx: Any, number: int) -> None:
        """Write a row of the application's own."""
        tx.execute(sqlalchemy.text(f"INSERT INTO app_row (id) VALUES ({number})"))

    def close(self) -> None:
        """Close every connection."""


class SqlalchemyHost(Host):
    """Opens transactions by one of `connection`, `session` and `scoped`."""

    def __init__(self, url: str, driver: str, opener: str) -> None:
        super().__init__(url)
        is_sqlite = driver == "pysqlite"
        options = {"connect_args": {"isolation_level": None}} if is_sqlite else {}
        self.engine = create_engine(url.replace("://", f"+{driver}://", 1), **options)
        if is_sqlite:

            @event.listens_for(self.engine, "begin")
            def begin(connection):
                connection.exec_driver_sql("BEGIN IMMEDIATE")

        self.opener = opener
        with self.engine.begin() as connection:
            connection.exec_driver_sql(CREATE)

    def transact(self, work: Work, *, commits: bool = True) -> None:
        if self.opener == "scoped":
            sessions = scoped_session(sessionmaker(self.engine))
            work(sessions)
            (sessions.commit if commits else sessions.rollback)()
            sessions.remove()
            return
        opened = Session(self.engine) if self.opener == "session" else self.engine.connect()
        with opened as tx:
            work(tx)
            (tx.commit if commits else tx.rollback)()

    def close(self) -> None:
        self.engine.dispose()


class AsyncHost(Host):
    """An asynchronous session, through `run_sync`."""

    def __init__(self, url: str, driver: str) -> None:
        super().__init__(url)
        self.async_url = url.replace("://", f"+{driver}://", 1)
        engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as connection:
            connection.exec_driver_sql(CREATE)
        engine.dispose()

    def transact(self, work: Work, *, commits: bool = True) -> None:
        async def application():
            engine = create_async_engine(self.async_url)
            try:
                async with AsyncSession(engine) as session:
                    await session.run_sync(work)
                    await (session.commit() if commits else session.rollback())
            finally:
                await engine.dispose()

        asyncio.run(application())


class DjangoHost(Host):
    """An `atomic()` block; `nested` puts the work into an inner one."""

    def __init__(self, url: str, opener: str) -> None:
        super().__init__(url)
        self.opener = opener
        self.alias = f"host_{uuid.uuid4().hex}"
        known = {"default": {}, self.alias: django_place(url)}
        connections.settings[self.alias] = connections.configure_settings(known)[self.alias]
        with connections[self.alias].cursor() as cursor:
            cursor.execute(CREATE)

    def transact(self, work: Work, *, commits: bool = True) -> None:
        with contextlib.suppress(HostError), transaction.atomic(using=self.alias):
            if self.opener == "nested":
                with transaction.atomic(using=self.alias):
                    work(self.alias)
            else:
                work(connections[self.alias])
            if not commits:
                raise HostError

    def write(self, tx: Any, number: int) -> None:
        with connections[self.alias].cursor() as cursor:
            cursor.execute(f"INSERT INTO app_row (id) VALUES ({number})")

    def close(self) -> None:
        connections[self.alias].close()
        del connections[self.alias]
        del connections.settings[self.alias]


def django_place(url: str) -> dict[str, object]:
    """A database as Django's settings name it."""
    if url.startswith("sqlite"):
        name = url.removeprefix("sqlite:///")
        # DESIGN 4.13: how a host opens SQLite beside other processes.
        options = {"transaction_mode": "IMMEDIATE"}
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": name, "OPTIONS": options}
    name, _, query = url.split("@/")[1].partition("?")
    place = {"ENGINE": "django.db.backends.postgresql", "NAME": name, "USER": "postgres"}
    return {**place, "HOST": query.removeprefix("host=")}


HOSTS = (
    *(
        f"{opener} {driver}"
        for driver in ("pysqlite", "psycopg", "psycopg2")
        for opener in ("connection", "session", "scoped")
    ),
    *(f"async {driver}" for driver in ("aiosqlite", "psycopg", "asyncpg")),
    *(
        f"django-{opener} {db}"
        for db in ("sqlite", "postgresql")
        for opener in ("atomic", "nested")
    ),
)


def make_host(name: str, url: str) -> Host:
    """An application by its name in `HOSTS`."""
    opener, driver = name.split()
    if opener == "async":
        return AsyncHost(url, driver)
    if opener.startswith("django"):
        return DjangoHost(url, opener.removeprefix("django-"))
    return SqlalchemyHost(url, driver, opener)
