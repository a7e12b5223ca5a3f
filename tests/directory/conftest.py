"""Kallithea's database, with the people of the contract in it, on either engine."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, create_engine, make_url, text

from envoi.directory.kallithea import kallithea_database
from tests.directory import contract
from tests.kallithea.schema import KallitheaUser, make_kallithea_db


def kallithea_world() -> list[KallitheaUser]:
    """The people of the contract, as far as unique columns let them in."""
    users = [
        KallitheaUser(
            one.login,
            one.addresses[0] if one.addresses else None,
            one.addresses[1:],
            one.groups,
            is_admin=one.is_admin,
            is_active=one.is_active,
        )
        for one in contract.WORLD
    ]
    # Two primary addresses are never the same there; a primary and an extra one may be.
    [gil] = [n for n, user in enumerate(users) if user.username == "gil"]
    users[gil] = KallitheaUser("gil", None, ("team@example.org",))
    return users


@contextmanager
def as_kallithea(url: str) -> Iterator[Connection]:
    """A write transaction of Kallithea's own, committed at the end."""
    place = make_url(url)
    if place.drivername == "postgresql":
        place = place.set(drivername="postgresql+psycopg")
    engine = create_engine(place)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def add_group(url: str, name: str, *members: int, is_active: bool = True) -> None:
    """Store a group of these user ids, whoever they are."""
    with as_kallithea(url) as connection:
        values = {"name": name, "active": is_active}
        group = connection.execute(_ADD_GROUP, values).scalar_one()
        for member in members:
            connection.execute(_ADD_MEMBER, {"group": group, "user": member})


_ADD_GROUP = text("""
INSERT INTO users_groups (users_group_name, users_group_active, user_id, created_on)
VALUES (:name, :active, 1, '2023-03-31 12:00:00') RETURNING users_group_id
""")
_ADD_MEMBER = text(
    "INSERT INTO users_groups_members (users_group_id, user_id) VALUES (:group, :user)"
)


@pytest.fixture
def kallithea_url(empty_url) -> str:
    """Address of a Kallithea's database with the people of the contract, once per engine."""
    make_kallithea_db(empty_url, kallithea_world())
    add_group(empty_url, contract.EMPTY_GROUP)
    return empty_url


@pytest.fixture
def database(kallithea_url):
    """That database as a directory opens it."""
    database = kallithea_database(kallithea_url)
    yield database
    database.close()


class ElsewhereTx:
    """The transaction of an outbox that lies on no database a directory could read."""

    dialect = "none"

    def execute(self, sql, params):
        raise AssertionError(f"asked the outbox: {sql}")

    execute_many = execute


@pytest.fixture
def elsewhere() -> ElsewhereTx:
    return ElsewhereTx()
