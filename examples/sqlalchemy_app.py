"""A shop on SQLAlchemy: an order and the mail about it are stored together, or neither is.

Run it with `ENVOI_CONFIG=envoi.toml python -m examples.sqlalchemy_app`.
"""

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import Connection
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import ConnectionPoolEntry

from envoi import Event, Mailer, Receipt


class Base(DeclarativeBase):
    """The shop's own tables."""


class Order(Base):
    """Something that somebody bought."""

    __tablename__ = "shop_order"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str]
    item: Mapped[str]


def open_engine(url: str) -> Engine:
    """Return an engine whose transactions on SQLite wait for their turn instead of failing."""
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _leave_begin_to_us)
        event.listen(engine, "begin", _begin_immediate)
    return engine


def place_order(session: Session, mailer: Mailer, order: Order) -> Receipt:
    """Store an order and tell its customer, in the session's transaction."""
    session.add(order)
    session.flush()  # the order's number is needed below
    return mailer.notify(
        Event(
            kind="message",
            subject=f"orders/{order.id}",
            people={"recipients": (order.customer,)},
            facts={
                "title": f"Order {order.id}: {order.item}",
                "body": "Thank you, it is on its way.",
                "url": f"/orders/{order.id}",
            },
            key=f"order-{order.id}-placed",
        ),
        session,
    )


def _leave_begin_to_us(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # sqlite3 would otherwise begin a deferred transaction by itself.
    connection.isolation_level = None


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def main() -> None:
    """Place one order that stays and one that is rolled back."""
    mailer = Mailer.from_file()
    engine = open_engine(mailer.parts.settings.outbox.url)
    Base.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        print("kept:", place_order(session, mailer, Order(customer="ann", item="A lamp")).stored)
    with Session(engine) as session:
        print("tried:", place_order(session, mailer, Order(customer="ann", item="A rug")).stored)
        session.rollback()  # the card was refused: no order, and no mail about it
    engine.dispose()
    mailer.close()


if __name__ == "__main__":
    main()
