"""This room is an application with orders of its own and mail about each, in one transaction.

`python -m faults.host FIRST COUNT`: orders from that number on, every third of which is rolled
back. What was committed stands in the table `host_order`; mail may exist for these alone.
"""

import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import create_engine, event
from sqlalchemy.orm import Session

from envoi import Mailbox, Mailer, ReadyMail
from envoi.addresses import parse_address
from envoi.outbox.location import parse_url

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

TABLE = "CREATE TABLE IF NOT EXISTS host_order (number INTEGER PRIMARY KEY, address VARCHAR(99))"
# Of so many orders one is not meant.
ROLLED_BACK = 3


def main() -> None:
    """Take orders."""
    mailer = Mailer.from_file(Path("envoi.toml"))
    engine = _opened(mailer.parts.settings.outbox.url)
    first, count = (int(word) for word in sys.argv[1:3])
    for number in range(first, first + count):
        take_order(engine, mailer, number)
        print(number, flush=True)
    mailer.close()


def take_order(engine: "Engine", mailer: Mailer, number: int) -> None:
    """Store one order with its mail, or nothing."""
    address = f"u{number}@x.test"
    box = Mailbox(parse_address(address))
    mail = ReadyMail(to=(box,), subject="Your order", text="It is on its way.")
    with Session(engine) as session:
        connection = session.connection()
        order = {"number": number, "address": address}
        insert = "INSERT INTO host_order VALUES (%(number)s, %(address)s)"
        if engine.dialect.name == "sqlite":
            insert = "INSERT INTO host_order VALUES (:number, :address)"
        connection.exec_driver_sql(insert, order)
        mailer.send(mail, session, strict=True)
        if number % ROLLED_BACK:
            session.commit()
        else:
            session.rollback()


def _opened(url: str) -> "Engine":
    engine = create_engine(parse_url(url))
    if engine.dialect.name == "sqlite":
        _take_turns(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(TABLE)
    return engine


def _take_turns(engine: "Engine") -> None:
    # As the documentation advises hosts on SQLite.
    @event.listens_for(engine, "connect")
    def set_up(raw: sqlite3.Connection, _record: object) -> None:  # pyright: ignore[reportUnusedFunction] # the decorator registers it
        raw.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection: "Connection") -> None:  # pyright: ignore[reportUnusedFunction] # same
        connection.exec_driver_sql("BEGIN IMMEDIATE")


if __name__ == "__main__":
    main()
