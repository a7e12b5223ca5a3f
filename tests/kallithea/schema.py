"""A database as Kallithea 0.7.0 keeps its users, on either engine: its names, our statements."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, create_engine, make_url, text

# The row that stands for whoever is not signed in; it has an address of its own.
ANONYMOUS = "default"


@dataclass(frozen=True, slots=True)
class KallitheaUser:
    """A user as somebody registered there.

    Args:
        username: Unique with regard to case.
        email: Primary address; None where there is none. Stored as it stands here, although
            Kallithea itself stores lower case.
        extra: Further addresses.
        groups: Names of groups; made when they are first named.
    """

    username: str
    email: str | None = None
    extra: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    is_admin: bool = False
    is_active: bool = True
    firstname: str = ""
    lastname: str = ""


_TABLES = (
    """CREATE TABLE users (
        user_id {key}, username VARCHAR(255) NOT NULL UNIQUE, password VARCHAR(255) NOT NULL,
        active BOOLEAN NOT NULL, admin BOOLEAN NOT NULL, firstname VARCHAR(255) NOT NULL,
        lastname VARCHAR(255) NOT NULL, email VARCHAR(255) UNIQUE, last_login TIMESTAMP,
        extern_type VARCHAR(255), extern_name VARCHAR(255), api_key VARCHAR(255) NOT NULL,
        created_on TIMESTAMP NOT NULL, user_data {bytes})""",
    "CREATE INDEX u_username_idx ON users (username)",
    "CREATE INDEX u_email_idx ON users (email)",
    """CREATE TABLE user_email_map (
        email_id {key}, user_id INTEGER NOT NULL REFERENCES users (user_id),
        email VARCHAR(255) NOT NULL UNIQUE)""",
    "CREATE INDEX uem_email_idx ON user_email_map (email)",
    """CREATE TABLE users_groups (
        users_group_id {key}, users_group_name VARCHAR(255) NOT NULL UNIQUE,
        user_group_description VARCHAR(10000), users_group_active BOOLEAN NOT NULL,
        user_id INTEGER NOT NULL REFERENCES users (user_id), created_on TIMESTAMP NOT NULL,
        group_data {bytes})""",
    """CREATE TABLE users_groups_members (
        users_group_member_id {key},
        users_group_id INTEGER NOT NULL REFERENCES users_groups (users_group_id),
        user_id INTEGER NOT NULL REFERENCES users (user_id))""",
)
_TYPES = {
    "sqlite": {"key": "INTEGER NOT NULL PRIMARY KEY", "bytes": "BLOB"},
    "postgresql": {"key": "SERIAL NOT NULL PRIMARY KEY", "bytes": "BYTEA"},
}
_CREATED = "2023-03-31 12:00:00"


def make_kallithea_db(url: str, users: Iterable[KallitheaUser] = ()) -> None:
    """Make the tables in a database that may hold others, and store users in this order.

    The anonymous user is row 1, as Kallithea's own set-up makes one too, so the first of `users`
    is row 2.

    Args:
        url: `sqlite:///PATH` or `postgresql://...`.
        users: Whom to store.
    """
    place = make_url(url)
    if place.drivername == "postgresql":
        place = place.set(drivername="postgresql+psycopg")
    engine = create_engine(place)
    with engine.begin() as connection:
        for statement in _TABLES:
            connection.exec_driver_sql(statement.format(**_TYPES[engine.dialect.name]))
        add_kallithea_user(connection, KallitheaUser(ANONYMOUS, "anonymous@kallithea-scm.org"))
        for user in users:
            add_kallithea_user(connection, user)
    engine.dispose()


def add_kallithea_user(connection: Connection, user: KallitheaUser) -> int:
    """Store one more user in an open transaction; return his `user_id`."""
    values = {
        "username": user.username,
        "active": user.is_active,
        "admin": user.is_admin,
        "firstname": user.firstname,
        "lastname": user.lastname,
        "email": user.email,
        "created": _CREATED,
    }
    user_id = int(connection.execute(_ADD_USER, values).scalar_one())
    for address in user.extra:
        connection.execute(_ADD_ADDRESS, {"user": user_id, "email": address})
    for name in user.groups:
        group = connection.execute(_GROUP, {"name": name}).scalar()
        if group is None:
            values = {"name": name, "owner": user_id, "created": _CREATED}
            group = connection.execute(_ADD_GROUP, values).scalar_one()
        connection.execute(_ADD_MEMBER, {"group": group, "user": user_id})
    return user_id


_ADD_USER = text("""
INSERT INTO users (username, password, active, admin, firstname, lastname, email, api_key,
  created_on)
VALUES (:username, 'none', :active, :admin, :firstname, :lastname, :email, 'none', :created)
RETURNING user_id
""")
_ADD_ADDRESS = text("INSERT INTO user_email_map (user_id, email) VALUES (:user, :email)")
_GROUP = text("SELECT users_group_id FROM users_groups WHERE users_group_name = :name")
_ADD_GROUP = text("""
INSERT INTO users_groups (users_group_name, users_group_active, user_id, created_on)
VALUES (:name, TRUE, :owner, :created) RETURNING users_group_id
""")
_ADD_MEMBER = text(
    "INSERT INTO users_groups_members (users_group_id, user_id) VALUES (:group, :user)"
)
