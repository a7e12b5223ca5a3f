"""Models are told of in the transaction that changes them, on both engines."""

import contextlib
import shutil
import sqlite3

import pytest
from django.db import DatabaseError, connections, models, transaction
from django.utils.translation import gettext_lazy

from envoi import InputError, Mailer, UnknownKindError
from envoi.integrations.django import DELETE, INSERT, UPDATE, Watched, watch
from envoi.journal import Fact
from envoi.outbox.find import stats
from envoi.settings import from_mapping
from envoi.testing import Recorder
from tests.joins.hosts import django_place
from tests.walk.people import add_users

ALIAS = "objects"
ROOT, ANN, BOB = "root@example.test", "ann@example.test", "bob@example.test"


class Account(models.Model):  # type: ignore[misc] # noqa: DJ008 # as a model often is
    login = models.CharField(max_length=50)

    class Meta:
        app_label = "objects"

    def __repr__(self):
        return self.login


class Picture(models.Model):  # type: ignore[misc] # Django has no types
    name = models.CharField(max_length=50)
    owner = models.ForeignKey(Account, null=True, on_delete=models.CASCADE)

    class Meta:
        app_label = "objects"

    def __str__(self):
        return self.name


SENDERS = {
    "objects": {
        "kind": "object_changed",
        "recipients": ["role:owner", "role:members", "admins"],
        "tells_actor": True,
    },
    "new_user": {"enabled": True},
}


def owner_of(picture):
    return {"owner": picture.owner.login if picture.owner else ""}


ACCOUNT = Watched(Account, name=lambda account: account.login, url=lambda a: f"/accounts/{a.pk}")
PICTURE = Watched(Picture, people=owner_of)


@pytest.fixture
def alias(outbox_url):
    """A database of Django's that has our tables as well."""
    with named(ALIAS, django_place(outbox_url)) as alias:
        yield alias


@contextlib.contextmanager
def named(alias, place):
    known = {"default": {}, alias: place}
    connections.settings[alias] = connections.configure_settings(known)[alias]
    with connections[alias].schema_editor() as editor:
        for model in (Account, Picture):
            editor.create_model(model)
    yield alias
    connections[alias].close()
    del connections[alias]
    del connections.settings[alias]


@pytest.fixture
def make_mailer(tmp_path):
    made = []

    def make(url) -> Mailer:
        tables = {
            "outbox": {"url": url},
            "application": {"base_url": "https://app.example.test"},
            "smtp": {"host": "relay.example"},  # never asked: the recorder takes its place
            "senders": SENDERS,
        }
        mailer = Mailer.from_settings(from_mapping(tables, tmp_path))
        made.append(mailer)
        return mailer

    yield make
    for mailer in made:
        mailer.close()


@pytest.fixture
def mailer(make_mailer, outbox_url):
    mailer = make_mailer(outbox_url)
    add_users(mailer)
    return mailer


@pytest.fixture
def watching(mailer, alias):
    """Return `watching(*watched)`: a watch that is kept until the test's end."""
    watches = []

    def start(*watched, **circumstance):
        watches.append(watch(mailer, watched, **circumstance))
        return watches[-1]

    yield start
    for one in watches:
        one.stop()


def deliver(mailer):
    recorder = Recorder()
    worker = mailer.make_worker(recorder.carrier())
    worker.run_until_idle()
    worker.drain()
    return recorder


def subjects(mailer):
    return sorted(sent.subject for sent in deliver(mailer).sent)


def events(mailer):
    with mailer.outbox.reading() as tx:
        return stats(tx, 0).events


def atomic():
    return transaction.atomic(using=ALIAS)


def save(model, **fields):
    return model.objects.using(ALIAS).create(**fields)


def test_what_is_saved_is_told_with_name_link_actor_client_and_time(mailer, watching):
    watching(ACCOUNT, actor=lambda: "ann", client=lambda: "203.0.113.7")

    with atomic():
        save(Account, login="eve")

    mail = deliver(mailer).only_to(ROOT)
    assert mail.subject == "INSERT Account notification"
    assert "- Account:1 eve" in mail.text
    assert "By: Ann Lee (ann)" in mail.text
    assert "From: 203.0.113.7" in mail.text
    assert "https://app.example.test/accounts/1" in mail.text


def test_without_a_transaction_it_is_told_at_once(mailer, watching):
    watching(ACCOUNT)

    account = save(Account, login="eve")
    account.login = "eva"
    account.save()
    account.delete()

    assert subjects(mailer) == [
        "DELETE Account notification",
        "INSERT Account notification",
        "UPDATE Account notification",
    ]


def test_mail_is_stored_with_the_transaction_and_not_after_it(mailer, watching):
    watching(ACCOUNT)
    seen = []

    def look():
        seen.append(events(mailer))

    with atomic():
        save(Account, login="eve")
        assert events(mailer) == 0
        # The first callback after the commit finds the event stored: it was part of it.
        connections[ALIAS].run_on_commit.insert(0, (set(), look, False))

    assert seen == [1]


def test_a_rollback_tells_nothing(mailer, watching):
    watching(ACCOUNT)

    with contextlib.suppress(ZeroDivisionError), atomic():
        save(Account, login="eve")
        raise ZeroDivisionError
    with atomic():
        save(Account, login="finn")
        transaction.set_rollback(True, using=ALIAS)

    assert events(mailer) == 0


def test_a_savepoint_that_is_rolled_back_tells_nothing_of_what_was_in_it(mailer, watching):
    watching(ACCOUNT)

    with atomic():
        save(Account, login="kept")
        with atomic():
            save(Account, login="inner")
        with contextlib.suppress(ZeroDivisionError), atomic():
            save(Account, login="lost")
            with atomic():
                save(Account, login="deeper")
            raise ZeroDivisionError

    text = deliver(mailer).only_to(ROOT).text
    assert {word for word in ("kept", "inner", "lost", "deeper") if word in text} == {
        "kept",
        "inner",
    }


def test_the_next_transaction_tells_of_itself_alone(mailer, watching):
    watching(ACCOUNT)

    for login in ("eve", "finn"):
        with atomic():
            save(Account, login=login)

    texts = [sent.text for sent in deliver(mailer).sent]
    assert ["eve" in text for text in texts] == [True, False]
    assert ["finn" in text for text in texts] == [False, True]


def test_many_objects_of_a_model_and_action_are_one_mail_that_lists_each_once(mailer, watching):
    watching(ACCOUNT)

    with atomic():
        for number in range(3):
            save(Account, login=f"u{number}")

    text = deliver(mailer).only_to(ROOT).text
    assert [text.count(f" u{number}") for number in range(3)] == [1, 1, 1]


def test_an_object_is_described_as_it_is_at_the_commit(mailer, watching):
    def readers(_picture):
        return {"members": Account.objects.using(ALIAS).values_list("login", flat=True)}

    watching(Watched(Picture, people=readers))

    with atomic():
        picture = save(Picture, name="draft")
        save(Account, login="ann")
        save(Account, login="bob")
        picture.name = "final"
        picture.save()

    recorder = deliver(mailer)
    assert recorder.only_to(ANN).subject == "INSERT Picture notification"
    assert "final" in recorder.only_to(BOB).text


def test_what_is_deleted_is_described_before_it_goes(mailer, watching):
    watching(PICTURE)
    save(Picture, name="cell.tiff", owner=save(Account, login="ann"))
    deliver(mailer)

    with atomic():
        Picture.objects.using(ALIAS).all().delete()

    mail = deliver(mailer).only_to(ANN)
    assert mail.subject == "DELETE Picture notification"
    assert "Picture:1 cell.tiff" in mail.text


def test_texts_that_are_translated_when_they_are_read_are_texts(mailer, watching):
    watching(Watched(Account, name=lambda account: gettext_lazy("an account"), url=lambda _: ""))

    with atomic():
        save(Account, login="eve")

    assert "- Account:1 an account" in deliver(mailer).only_to(ROOT).text


def test_an_object_that_came_and_went_was_never_there(mailer, watching):
    watching(Watched(Account, actions=(INSERT, UPDATE, DELETE)))

    with atomic():
        save(Account, login="eve").delete()

    assert events(mailer) == 0


def test_a_kind_of_its_own_gets_its_facts(mailer, watching):
    watching(
        Watched(
            Account,
            actions=(INSERT,),
            kind="new_user",
            facts=lambda account: {"username": account.login},
            people=lambda account: {"user": account.login},
        )
    )

    with atomic():
        save(Account, login="eve")

    assert subjects(mailer) == ["New user eve"]


def test_an_action_of_the_applications_own_is_told_with_the_commit(mailer, watching):
    one = watching(Watched(Account, actions=("PASSWORD",)))

    with atomic():
        account = save(Account, login="eve")
        one.tell(account, "PASSWORD", using=ALIAS)

    assert subjects(mailer) == ["PASSWORD Account notification"]
    with pytest.raises(InputError, match="'LOGIN' of Account"):
        one.tell(account, "LOGIN")


def fail(_thing):
    raise ZeroDivisionError("of the application")


def ask_nonsense(_account):
    with connections[ALIAS].cursor() as cursor:
        cursor.execute("SELECT id FROM nowhere")


@pytest.mark.parametrize("is_atomic", [True, False], ids=["atomic", "autocommit"])
@pytest.mark.parametrize(
    ("watched", "because"),
    [
        (Watched(Account, name=fail), "Account 1 INSERT: ZeroDivisionError: of the app"),
        (Watched(Account, url=ask_nonsense), "nowhere"),
        (Watched(Account, kind="new_user", facts=lambda _: {"nick": "x"}), "facts.nick"),
    ],
    ids=["name", "a statement", "facts that do not fit"],
)
def test_what_goes_wrong_in_the_applications_functions_never_harms_its_commit(
    mailer, watching, caplog, is_atomic, watched, because
):
    watching(watched)

    with atomic() if is_atomic else contextlib.nullcontext():
        save(Account, login="eve")

    assert Account.objects.using(ALIAS).get().login == "eve"
    assert mailer.parts.journal.counts()[Fact.EVENT_NOT_STORED] >= 1
    assert because in caplog.text
    assert events(mailer) == 0


def test_a_statement_of_the_actors_that_fails_costs_his_name_only(mailer, watching, caplog):
    def who():
        ask_nonsense(None)

    watching(ACCOUNT, actor=who)

    with atomic():
        save(Account, login="eve")

    assert "eve" in deliver(mailer).only_to(ROOT).text
    assert "told of without who did it" in caplog.text
    assert "nowhere" in caplog.text


def test_what_a_description_saves_is_kept_and_not_told(mailer, watching):
    def name(account):
        save(Account, login=f"{account.login}+")
        Account.objects.using(ALIAS).filter(login="gone").delete()
        return account.login

    watching(Watched(Account, actions=(INSERT, DELETE), name=name))
    save(Account, login="gone")

    with atomic():
        save(Account, login="eve")
    save(Account, login="finn")

    logins = Account.objects.using(ALIAS).order_by("id").values_list("login", flat=True)
    assert list(logins) == ["gone+", "eve", "eve+", "finn", "finn+"]
    assert events(mailer) == 3


def test_a_commit_that_fails_tells_nothing(mailer, watching, monkeypatch):
    watching(ACCOUNT)

    def refuse():
        raise DatabaseError("disk full")

    with contextlib.suppress(DatabaseError), atomic():
        monkeypatch.setattr(connections[ALIAS], "_commit", refuse)
        save(Account, login="eve")
    monkeypatch.undo()

    assert events(mailer) == 0


def test_fixtures_bulk_statements_and_other_models_are_not_told(mailer, watching):
    watching(ACCOUNT)

    with atomic():
        Account(login="fixture", id=9).save_base(raw=True, using=ALIAS)
        Account.objects.using(ALIAS).bulk_create([Account(login="bulk")])
        Account.objects.using(ALIAS).update(login="updated")
        save(Picture, name="cell.tiff")

    assert events(mailer) == 0


def test_after_stop_nothing_is_told(mailer, watching):
    watching(ACCOUNT).stop()

    with atomic():
        save(Account, login="eve")

    assert events(mailer) == 0


def test_each_database_tells_in_its_own_transaction(mailer, watching, tmp_path):
    """The outbox is with one of them; what the other does is stored right after its commit."""
    watching(ACCOUNT)
    place = django_place(f"sqlite:///{tmp_path / 'other.db'}")

    with named("other", place):
        with transaction.atomic(using="other"):
            Account.objects.using("other").create(login="there")
            assert events(mailer) == 0
        with contextlib.suppress(ZeroDivisionError), transaction.atomic(using="other"):
            Account.objects.using("other").create(login="lost")
            raise ZeroDivisionError
        with atomic():
            save(Account, login="here")

    texts = " ".join(sent.text for sent in deliver(mailer).sent)
    assert {word for word in ("here", "there", "lost") if word in texts} == {"here", "there"}


def test_an_outbox_elsewhere_has_it_after_the_commit(make_mailer, alias, sqlite_template, tmp_path):
    path = tmp_path / "elsewhere.db"
    shutil.copyfile(sqlite_template, path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as copy:
        copy.execute("UPDATE envoi_meta SET value = 'another' WHERE name = 'database_id'")
    mailer = make_mailer(f"sqlite:///{path}")
    add_users(mailer)
    watching = watch(mailer, [ACCOUNT])

    with atomic():
        save(Account, login="eve")
        assert events(mailer) == 0

    watching.stop()
    assert subjects(mailer) == ["INSERT Account notification"]


def test_two_watches_tell_each_of_their_own(mailer, watching):
    watching(ACCOUNT)
    watching(PICTURE, Watched(Account, actions=(INSERT,), people=lambda a: {"owner": a.login}))

    with atomic():
        save(Picture, name="cell.tiff", owner=save(Account, login="ann"))

    assert sorted((sent.recipient, sent.subject) for sent in deliver(mailer).sent) == [
        (ANN, "INSERT Account notification"),
        (ANN, "INSERT Picture notification"),
        (ROOT, "INSERT Account notification"),
        (ROOT, "INSERT Account notification"),
        (ROOT, "INSERT Picture notification"),
    ]


@pytest.mark.parametrize(
    ("watched", "error", "words"),
    [
        (Watched(int), InputError, "watched: expected models, got int"),
        (Watched(Account, kind="new_usr", facts=dict), UnknownKindError, "new_user"),
    ],
    ids=["no model", "unknown kind"],
)
def test_what_cannot_be_watched_is_refused_at_once(mailer, watched, error, words):
    with pytest.raises(error, match=words):
        watch(mailer, [watched])
