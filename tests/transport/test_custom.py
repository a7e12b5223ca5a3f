"""`transport.default`: how an application's own transport is found, made and refused."""

from importlib.metadata import EntryPoint, EntryPoints

import pytest

from envoi import SettingsError
from envoi.addresses import parse_mailbox
from envoi.assembly import assemble
from envoi.core.delivery import State
from envoi.core.ready import ReadyMail
from envoi.mailer import Mailer
from envoi.outbox.filters import Query
from envoi.outbox.find import deliveries
from envoi.settings import from_mapping
from envoi.transport import custom
from envoi.transport.capture import CaptureCarrier
from envoi.transport.custom import find_transport

SHOP = """
from envoi.transport.capture import CaptureCarrier, MemoryShelf
from envoi.transport.custom import accepted

TOOK = []
SHELF = MemoryShelf()
NUMBER = 7


class Api:
    def __init__(self, settings):
        self.url = settings.applications["main"].base_url

    def carry(self, outgoing):
        TOOK.append(outgoing)
        return accepted(f"taken for {self.url}")


def carrier(settings):
    return CaptureCarrier(SHELF)


def nothing(settings):
    return object()


def broken(settings):
    raise RuntimeError("no key in the environment")


class Room:
    make = Api
"""


@pytest.fixture
def shop(tmp_path):
    """A module of the application beside its settings file, under a name that is used once."""
    name = f"shop_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(SHOP, "utf-8")
    return name


@pytest.fixture
def make_mailer(sqlite_url, tmp_path):
    made = []

    def make(transport, **sections) -> Mailer:
        tables = {
            "outbox": {"url": sqlite_url},
            "application": {"base_url": "https://shop.example.test"},
            "transport": {"default": transport},
            **sections,
        }
        mailer = Mailer.from_settings(from_mapping(tables, tmp_path))
        made.append(mailer)
        return mailer

    yield make
    for mailer in made:
        mailer.close()


@pytest.fixture
def registered(monkeypatch):
    """Register a name as an installed package would."""

    def register(name, value):
        points = EntryPoints([EntryPoint(name=name, value=value, group=custom.GROUP)])
        monkeypatch.setattr(custom, "entry_points", lambda group: points)

    return register


def send(mailer):
    """One mail through a worker; return its row."""
    mail = ReadyMail(to=(parse_mailbox("ann@example.test"),), subject="Invoice", text="42 Euro")
    mailer.send(mail, strict=True)
    worker = mailer.make_worker()
    worker.run_until_idle()
    worker.drain()
    [row] = rows(mailer)
    return row


def rows(mailer):
    with mailer.outbox.reading() as tx:
        return deliveries(tx, Query())


@pytest.mark.parametrize("factory", ["Api", "Room.make"])
def test_all_mail_goes_through_it_without_a_relay(make_mailer, shop, factory):
    mailer = make_mailer(f"{shop}:{factory}")

    row = send(mailer)

    assert row.delivery.state is State.SENT
    assert row.last_reply == "250 taken for https://shop.example.test"
    took = __import__(shop).TOOK
    assert [outgoing.recipient for outgoing in took] == ["ann@example.test"]
    assert b"Subject: Invoice\r\n" in took[0].content


def test_it_is_taken_although_a_relay_is_configured(make_mailer, shop):
    mailer = make_mailer(f"{shop}:Api", smtp={"host": "127.0.0.1", "port": 1})

    assert send(mailer).delivery.state is State.SENT


def test_a_full_carrier_is_used_as_it_is(make_mailer, shop):
    mailer = make_mailer(f"{shop}:carrier")

    assert isinstance(mailer.parts.relays.carrier(), CaptureCarrier)
    assert send(mailer).delivery.state is State.SENT


def test_an_installed_package_registers_a_name(
    make_mailer, shop, tmp_path, registered, monkeypatch
):
    monkeypatch.syspath_prepend(tmp_path)
    registered("shopmail", f"{shop}:Api")

    assert send(make_mailer("shopmail")).delivery.state is State.SENT


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("shopmial", r"expected one of smtp, shopmail, or module:factory.*did you mean shopmail\?"),
        ("pigeon", "expected one of smtp, shopmail, .*got 'pigeon'.*no package registered it"),
        ("SHOP:Apo", "SHOP has no Apo"),
        ("SHOP:NUMBER", "nothing that can be called"),
        ("no_such_module:make", "no_such_module"),
    ],
)
def test_an_unknown_one_is_an_error_at_start_that_names_the_key(
    make_mailer, shop, registered, name, told
):
    registered("shopmail", f"{shop}:Api")

    with pytest.raises(SettingsError, match=told.replace("SHOP", shop)) as caught:
        make_mailer(name.replace("SHOP", shop))

    assert caught.value.problems[0].where == "transport.default"


@pytest.mark.parametrize("code", ["1 / 0", "raise SystemExit(3)", "def ("])
def test_a_module_that_cannot_be_imported_is_told_of(make_mailer, tmp_path, code):
    name = f"odd_{abs(hash(code))}"
    (tmp_path / f"{name}.py").write_text(code, "utf-8")

    with pytest.raises(SettingsError, match=f"transport.default: .*{name}:make cannot be imported"):
        make_mailer(f"{name}:make")


@pytest.mark.parametrize(
    ("factory", "told"),
    [
        ("broken", "no key in the environment.*its factory failed"),
        ("nothing", "returned neither a Courier nor a Carrier"),
    ],
)
def test_a_factory_that_makes_nothing_is_told_of_when_a_worker_is_made(
    make_mailer, shop, factory, told
):
    mailer = make_mailer(f"{shop}:{factory}")

    with pytest.raises(SettingsError, match=told):
        mailer.make_worker()


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("shop.mail", "behind a colon"),
        ("shop:", "behind the colon"),
        ("shop:a b", "behind the colon"),
        ("shop mail", "expected smtp"),
        ("sh op:make", "expected smtp"),
    ],
)
def test_a_name_of_another_form_is_refused_with_the_settings(tmp_path, value, hint):
    with pytest.raises(SettingsError, match=f"transport.default: .*{hint}"):
        from_mapping({"transport": {"default": value}}, tmp_path)


def test_smtp_is_what_is_built_in(tmp_path):
    assert find_transport("smtp", tmp_path) is None


FLAKY = """
from urllib.error import URLError
from envoi.transport.custom import accepted, denied, down, later

FIRST = {"down": down("maintenance"), "denied": denied("wrong key"), "later": later("slower")}
ERRORS = {"refused": URLError(ConnectionRefusedError("nobody")), "error": KeyError("id")}
CALLS = []


class Flaky:
    def __init__(self, settings):
        self.mood = settings.applications["main"].name

    def carry(self, outgoing):
        CALLS.append(outgoing.delivery_id)
        if len(CALLS) > 1:
            return accepted("at last")
        if self.mood in ERRORS:
            raise ERRORS[self.mood]
        return FIRST[self.mood]
"""


@pytest.mark.parametrize(
    ("mood", "waits_as"),
    [
        ("down", State.QUEUED),
        ("denied", State.QUEUED),
        ("refused", State.QUEUED),
        ("later", State.QUEUED),
        ("error", State.UNCERTAIN),
    ],
)
def test_what_could_not_be_carried_waits_and_is_carried_later(sqlite_url, tmp_path, mood, waits_as):
    name = f"flaky_{mood}_{tmp_path.parent.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(FLAKY, "utf-8")
    tables = {
        "outbox": {"url": sqlite_url},
        "application": {"name": mood},
        "transport": {"default": f"{name}:Flaky"},
    }
    now = [1_800_000_000_000]
    mailer = Mailer(assemble(from_mapping(tables, tmp_path), lambda: now[0]))
    mail = ReadyMail(to=(parse_mailbox("ann@example.test"),), subject="Invoice", text="42 Euro")
    mailer.send(mail, strict=True)
    worker = mailer.make_worker()

    worker.run_until_idle()
    [waiting] = rows(mailer)
    for _ in range(10):
        now[0] += 60_000
        worker.run_until_idle()
    worker.drain()

    assert waiting.delivery.state is waits_as
    [row] = rows(mailer)
    assert (row.delivery.state, row.last_reply) == (State.SENT, "250 at last")
    assert [row.delivery.id] * 2 == __import__(name).CALLS
    mailer.close()
