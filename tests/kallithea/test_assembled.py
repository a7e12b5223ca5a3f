"""An application whose settings say that a Kallithea keeps its users."""

import pytest
from sqlalchemy import create_engine, make_url
from sqlalchemy.orm import Session

from envoi import Event
from envoi.errors import SettingsError
from envoi.mailer import Mailer, Stored
from envoi.outbox.filters import Query
from envoi.outbox.find import deliveries
from envoi.settings import from_mapping
from tests.kallithea.schema import KallitheaUser, add_kallithea_user, make_kallithea_db

USERS = (
    KallitheaUser("admin", "admin@example.test", is_admin=True),
    KallitheaUser("ann", "ann@example.test", ("ann@old.test",)),
)
WELCOME = {"kind": "registration", "recipients": ["role:user"], "tells_actor": True}


@pytest.fixture
def make_mailer(outbox_url, tmp_path):
    """Return `make(url)`: a mailer whose users are in the Kallithea's database there."""
    made = []

    def make(url: str) -> Mailer:
        tables = {
            "outbox": {"url": outbox_url},
            "application": {
                "base_url": "https://code.example.test",
                "from": "c@example.test",
                "second": {"base_url": "https://2.example.test", "from": "d@example.test"},
            },
            "directory": {"kind": "kallithea", "url": url},
            "senders": {"welcome": WELCOME},
        }
        mailer = Mailer.from_settings(from_mapping(tables, tmp_path))
        made.append(mailer)
        return mailer

    yield make
    for mailer in made:
        mailer.close()


@pytest.fixture
def elsewhere_url(tmp_path) -> str:
    """Address of a Kallithea's database that is not the outbox's."""
    url = f"sqlite:///{tmp_path / 'kallithea.db'}"
    make_kallithea_db(url, USERS)
    return url


def registered(login: str, application: str = "main") -> Event:
    return Event(
        kind="registration",
        actor=login,
        people={"user": (login,)},
        facts={"url": "/users/7", "username": login},
        application=application,
    )


def addressees(mailer: Mailer) -> list[str]:
    with mailer.outbox.reading() as tx:
        return sorted(str(row.delivery.address) for row in deliveries(tx, Query()))


def test_people_of_a_database_of_its_own_get_mail(make_mailer, elsewhere_url):
    mailer = make_mailer(elsewhere_url)

    mailer.notify(registered("ann"), strict=True)

    assert addressees(mailer) == ["admin@example.test", "ann@example.test"]


def test_every_application_of_the_settings_has_these_users(make_mailer, elsewhere_url):
    mailer = make_mailer(elsewhere_url)

    mailer.notify(registered("ann", "second"), strict=True)

    assert addressees(mailer) == ["admin@example.test", "ann@example.test"]


def test_a_user_is_told_in_the_transaction_that_makes_him(make_mailer, outbox_url):
    make_kallithea_db(outbox_url, USERS)
    place = make_url(outbox_url)
    if place.drivername == "postgresql":
        place = place.set(drivername="postgresql+psycopg")
    engine = create_engine(place)
    mailer = make_mailer(outbox_url)
    with Session(engine) as session:
        add_kallithea_user(session.connection(), KallitheaUser("new", "new@example.test"))
        receipt = mailer.notify(registered("new"), session, strict=True)
        session.commit()
    engine.dispose()

    assert receipt.stored is Stored.STORED
    assert addressees(mailer) == ["admin@example.test", "new@example.test"]


def test_the_application_goes_on_when_its_users_cannot_be_read(make_mailer, tmp_path):
    mailer = make_mailer(f"sqlite:///{tmp_path / 'missing.db'}")

    receipt = mailer.notify(registered("ann"))

    assert receipt.is_kept, receipt.because
    assert not (tmp_path / "missing.db").exists()


def test_the_event_is_kept_in_the_transaction_in_which_the_users_could_not_be_read(
    make_mailer, outbox_url
):
    place = make_url(outbox_url)
    if place.drivername == "postgresql":
        place = place.set(drivername="postgresql+psycopg")
    engine = create_engine(place)
    mailer = make_mailer(outbox_url)  # its own database, in which no Kallithea ever was
    with Session(engine) as session:
        receipt = mailer.notify(registered("ann"), session)
        session.commit()
    engine.dispose()
    with mailer.outbox.reading() as tx:
        [[many]] = tx.execute("SELECT COUNT(*) FROM envoi_event", {})

    assert receipt.is_kept, receipt.because
    assert many == 1


def test_connections_are_made_again_after_they_were_closed(make_mailer, elsewhere_url):
    mailer = make_mailer(elsewhere_url)
    mailer.notify(registered("ann"), strict=True)
    mailer.close()

    mailer.notify(registered("ann"), strict=True)

    assert len(addressees(mailer)) == 4


def test_an_address_of_no_database_that_is_spoken_is_refused_at_the_start(make_mailer):
    with pytest.raises(SettingsError, match=r"directory\.url"):
        make_mailer("mysql://kallithea:s3cret@localhost/kallithea")
