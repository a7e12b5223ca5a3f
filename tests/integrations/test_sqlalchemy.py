"""Objects of a mapped class are told of in the transaction that changes them, on both engines."""

import asyncio
import contextlib
import contextvars
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import ForeignKey, create_engine, delete, event, insert, select, text, update
from sqlalchemy.ext.asyncio import (
    AsyncAttrs,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    object_session,
    relationship,
    scoped_session,
    sessionmaker,
)

from envoi import InputError, Mailer, UnknownKindError
from envoi.integrations.sqlalchemy import DELETE, INSERT, UPDATE, Watched, watch
from envoi.journal import Fact
from envoi.outbox.find import stats
from envoi.settings import from_mapping
from envoi.testing import Recorder
from examples.sqlalchemy_app import open_engine
from tests.walk.people import add_users


class Table(AsyncAttrs, DeclarativeBase):
    """The application's own tables."""


class User(Table):
    __tablename__ = "app_user"
    id: Mapped[int] = mapped_column(primary_key=True)
    login: Mapped[str]
    email: Mapped[str] = mapped_column(default="")


class Image(Table):
    __tablename__ = "app_image"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    owner_id: Mapped[int | None] = mapped_column(ForeignKey(User.id))
    kind: Mapped[str] = mapped_column(default="image")
    owner: Mapped[User | None] = relationship()
    comments: Mapped[list["Comment"]] = relationship(
        back_populates="image", cascade="all, delete-orphan"
    )
    __mapper_args__ = {"polymorphic_on": kind, "polymorphic_identity": "image"}  # noqa: RUF012 # SQLAlchemy's

    def __str__(self) -> str:
        return self.name


class Scan(Image):
    __mapper_args__ = {"polymorphic_identity": "scan"}  # noqa: RUF012 # SQLAlchemy's


class Comment(Table):
    __tablename__ = "app_comment"
    id: Mapped[int] = mapped_column(primary_key=True)
    words: Mapped[str]
    image_id: Mapped[int] = mapped_column(ForeignKey(Image.id))
    image: Mapped[Image] = relationship(back_populates="comments")


SENDERS = {
    "objects": {
        "kind": "object_changed",
        "recipients": ["role:owner", "role:members", "admins"],
        "tells_actor": True,
    },
    "new_user": {"enabled": True},
    "new_comment": {"enabled": True},
}


def owner_of(image):
    return {"owner": image.owner.login if image.owner else ""}


USER = Watched(User, url=lambda user: f"/users/{user.id}", name=lambda user: user.login)
IMAGE = Watched(Image, people=owner_of, url=lambda image: f"/images/{image.id}")
NEW_USER = Watched(
    User,
    actions=(INSERT,),
    kind="new_user",
    facts=lambda user: {"username": user.login, "email": user.email},
)
NEW_COMMENT = Watched(
    Comment,
    actions=(INSERT,),
    kind="new_comment",
    people=lambda comment: owner_of(comment.image),
    facts=lambda comment: {"object": comment.image.name, "comment": comment.words},
    subject=lambda comment: f"images/{comment.image_id}",
)


@pytest.fixture
def make_mailer(tmp_path):
    """Return `make(url)`: a mailer whose administrators and owners hear of objects."""
    made = []

    def make(url, **outbox) -> Mailer:
        tables = {
            "outbox": {"url": url, **outbox},
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
def engine(outbox_url):
    engine = open_engine(outbox_url.replace("postgresql:", "postgresql+psycopg:"))
    Table.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def watching(mailer, engine):
    """Return `watching(*watched)`: sessions over which a watch is kept until the test's end."""
    watches = []

    def start(*watched, **circumstance):
        sessions: Any = sessionmaker(engine)
        sessions.watching = watch(sessions, mailer, watched, **circumstance)
        watches.append(sessions.watching)
        return sessions

    yield start
    for one in watches:
        one.stop()


def deliver(mailer):
    """Everything that goes out, as (recipient, subject), and the texts by recipient."""
    recorder = Recorder()
    worker = mailer.make_worker(recorder.carrier())
    worker.run_until_idle()
    worker.drain()
    return recorder


def told(mailer):
    return sorted((sent.recipient, sent.subject) for sent in deliver(mailer).sent)


def subjects(mailer):
    return sorted(sent.subject for sent in deliver(mailer).sent)


def events(mailer):
    with mailer.outbox.reading() as tx:
        return stats(tx, 0).events


ROOT, ANN, BOB = "root@example.test", "ann@example.test", "bob@example.test"


def test_what_is_inserted_is_told_with_name_link_actor_client_and_time(mailer, watching):
    sessions = watching(USER, actor=lambda: "ann", client=lambda: "203.0.113.7")

    with sessions.begin() as session:
        session.add(User(login="eve"))

    mail = deliver(mailer).only_to(ROOT)
    assert mail.subject == "INSERT User notification"
    assert "Added: User" in mail.text
    assert "- User:1 eve" in mail.text
    assert "By: Ann Lee (ann)" in mail.text
    assert "From: 203.0.113.7" in mail.text
    assert "Time: " in mail.text
    assert "Class: test_sqlalchemy.User" in mail.text.replace("tests.integrations.", "")
    assert mail.text.count("https://app.example.test/users/1") == 2


@pytest.mark.parametrize("end", ["rollback", "close", "error"])
def test_what_is_not_committed_is_not_told(mailer, watching, end):
    sessions = watching(USER)

    with contextlib.suppress(ZeroDivisionError), sessions() as session:
        session.add(User(login="eve"))
        session.flush()
        if end == "error":
            raise ZeroDivisionError
        getattr(session, end)()
        session.add(User(login="finn"))
        session.commit()

    assert events(mailer) == (0 if end == "error" else 1)
    assert not any("eve" in sent.text for sent in deliver(mailer).sent)


def test_mail_is_stored_with_the_transaction_and_not_after_it(mailer, watching, engine):
    sessions = watching(USER)
    seen = []

    with sessions() as session:
        session.add(User(login="eve"))

        @event.listens_for(engine, "commit")
        def look(connection):
            rows = connection.exec_driver_sql("SELECT count(*) FROM envoi_delivery").scalar()
            seen.append(rows)

        session.commit()

    assert seen[0] == 1


def test_many_objects_of_a_class_and_action_are_one_mail_that_lists_each_once(mailer, watching):
    sessions = watching(USER)

    with sessions.begin() as session:
        for number in range(3):
            session.add(User(login=f"u{number}"))
            session.flush()

    mail = deliver(mailer).only_to(ROOT)
    assert [mail.text.count(f" u{number}") for number in range(3)] == [1, 1, 1]
    assert mail.text.index("User:1") < mail.text.index("User:2") < mail.text.index("User:3")


def test_beyond_a_hundred_objects_the_rest_is_counted(mailer, watching):
    sessions = watching(USER)

    with sessions.begin() as session:
        session.add_all([User(login=f"u{number}") for number in range(130)])

    mail = deliver(mailer).only_to(ROOT)
    assert mail.text.count("- User:") == 100
    assert "and 30 more" in mail.text


def test_owners_read_of_their_own_objects_only(mailer, watching):
    sessions = watching(IMAGE)

    with sessions.begin() as session:
        ann, bob = User(login="ann"), User(login="bob")
        session.add_all([Image(name=f"{user.login}.tiff", owner=user) for user in (ann, bob)])

    recorder = deliver(mailer)
    assert "ann.tiff" in recorder.only_to(ANN).text
    assert "bob" not in recorder.only_to(ANN).text
    assert "bob.tiff" in recorder.only_to(BOB).text
    assert len(recorder.sent_to(ROOT)) == 2


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        ((INSERT, UPDATE, DELETE), ["INSERT User notification"]),
        ((INSERT,), ["INSERT User notification"]),
        ((UPDATE, DELETE), []),
    ],
)
def test_an_object_that_is_inserted_and_then_changed_is_new(mailer, watching, actions, expected):
    sessions = watching(Watched(User, actions=actions, name=lambda user: user.login))

    with sessions.begin() as session:
        user = User(login="eve")
        session.add(user)
        session.flush()
        user.login = "eva"

    sent = deliver(mailer).sent
    assert [mail.subject for mail in sent] == expected
    assert all("User:1 eva" in mail.text for mail in sent)


def test_an_object_that_came_and_went_was_never_there(mailer, watching):
    sessions = watching(USER)

    with sessions.begin() as session:
        user = User(login="eve")
        session.add(user)
        session.flush()
        session.delete(user)

    assert events(mailer) == 0


def test_an_update_is_told_once_and_only_if_something_changed(mailer, watching):
    sessions = watching(Watched(User, actions=(UPDATE,), name=lambda user: user.login))
    with sessions.begin() as session:
        session.add_all([User(login="eve"), User(login="finn")])

    with sessions.begin() as session:
        eve, finn = session.scalars(select(User).order_by(User.id))
        eve.login = "eva"
        session.flush()
        eve.email = "eva@example.test"
        finn.login = "finn"

    mail = deliver(mailer).only_to(ROOT)
    assert mail.subject == "UPDATE User notification"
    assert "User:1 eva" in mail.text
    assert "User:2" not in mail.text


def test_what_is_deleted_is_described_though_nothing_of_it_was_loaded(mailer, watching):
    sessions = watching(IMAGE)
    with sessions.begin() as session:
        session.add(Image(name="cell.tiff", owner=User(login="ann")))
    deliver(mailer)

    with sessions() as session:
        image = session.get(Image, 1)
        session.commit()  # expires what was loaded
        session.delete(image)
        session.commit()

    mail = deliver(mailer).only_to(ANN)
    assert mail.subject == "DELETE Image notification"
    assert "Image:1 cell.tiff" in mail.text


def test_an_orphan_that_a_flush_deletes_is_told_of(mailer, watching):
    sessions = watching(Watched(Comment, actions=(DELETE,), name=lambda comment: comment.words))
    with sessions.begin() as session:
        session.add(Image(name="cell.tiff", comments=[Comment(words="sharp!")]))

    with sessions.begin() as session:
        image = session.get(Image, 1)
        image.comments.clear()

    mail = deliver(mailer).only_to(ROOT)
    assert mail.subject == "DELETE Comment notification"
    assert "Comment:1 sharp!" in mail.text


def test_what_is_deleted_with_its_owner_is_told_of(mailer, watching):
    sessions = watching(Watched(Comment, actions=(DELETE,), people=lambda c: owner_of(c.image)))
    with sessions.begin() as session:
        image = Image(name="cell.tiff", owner=User(login="ann"), comments=[Comment(words="sharp!")])
        session.add(image)

    with sessions.begin() as session:
        session.delete(session.get(Image, 1))

    assert told(mailer) == [
        (ANN, "DELETE Comment notification"),
        (ROOT, "DELETE Comment notification"),
    ]


def test_a_savepoint_that_is_rolled_back_tells_nothing_of_what_was_in_it(mailer, watching):
    sessions = watching(USER)

    with sessions.begin() as session:
        session.add(User(login="kept"))
        with session.begin_nested():
            session.add(User(login="inner"))
        with contextlib.suppress(ZeroDivisionError), session.begin_nested():
            session.add(User(login="lost"))
            with session.begin_nested():
                session.add(User(login="deeper"))
            raise ZeroDivisionError

    text_ = deliver(mailer).only_to(ROOT).text
    assert {word for word in ("kept", "inner", "lost", "deeper") if word in text_} == {
        "kept",
        "inner",
    }


def test_a_flush_that_fails_in_a_savepoint_tells_nothing_of_it(mailer, watching):
    sessions = watching(USER)

    with sessions.begin() as session:
        session.add(User(id=1, login="kept"))
        session.flush()
        with contextlib.suppress(Exception), session.begin_nested():
            session.execute(insert(User).values(id=2, login="sql"))
            session.add(User(id=2, login="twice"))
            session.flush()

    text_ = deliver(mailer).only_to(ROOT).text
    assert "kept" in text_
    assert "twice" not in text_


def test_a_commit_inside_an_open_savepoint_tells_as_well(mailer, watching):
    sessions = watching(USER)

    with sessions() as session:
        root = session.begin()
        session.begin_nested()
        session.add(User(login="eve"))
        root.commit()

    assert told(mailer) == [(ROOT, "INSERT User notification")]


def test_a_kind_of_its_own_gets_its_facts_one_event_per_object(mailer, watching):
    sessions = watching(NEW_USER)

    with sessions.begin() as session:
        session.add_all([User(login="eve", email="eve@example.test"), User(login="finn")])

    assert told(mailer) == [(ROOT, "New user eve"), (ROOT, "New user finn")]


def test_a_comment_tells_the_owner_of_its_image_in_the_images_thread(mailer, watching):
    sessions = watching(NEW_COMMENT, actor=lambda: "bob")

    with sessions.begin() as session:
        image = Image(name="cell.tiff", owner=User(login="ann"))
        session.add(Comment(words="sharp!", image=image))

    mail = deliver(mailer).only_to(ANN)
    assert mail.subject == "New comment by Bob Ray (bob) on cell.tiff"
    assert "images/1@" in mail.message["References"]


def test_one_class_may_be_told_in_several_ways(mailer, watching):
    sessions = watching(NEW_USER, Watched(User, actions=(DELETE,)))

    with sessions.begin() as session:
        session.add(User(login="eve"))
    with sessions.begin() as session:
        session.delete(session.get(User, 1))

    assert subjects(mailer) == ["DELETE User notification", "New user eve"]


def test_a_class_without_a_watch_of_its_own_is_told_by_the_one_above_it(mailer, watching):
    sessions = watching(IMAGE)

    with sessions.begin() as session:
        session.add(Scan(name="scan.tiff"))

    assert subjects(mailer) == ["INSERT Scan notification"]


def test_an_action_of_the_applications_own_is_told_with_the_commit(mailer, watching):
    sessions = watching(Watched(User, actions=("PASSWORD",)))

    with sessions() as session:
        user = User(login="eve")
        session.add(user)
        sessions.watching.tell(session, user, "PASSWORD")
        session.rollback()
        session.add(user)
        sessions.watching.tell(session, user, "PASSWORD")
        sessions.watching.tell(session, user, "PASSWORD")
        session.commit()

    assert subjects(mailer) == ["PASSWORD User notification"]


def test_an_action_that_nobody_watches_is_refused(watching):
    sessions = watching(USER)

    with sessions() as session, pytest.raises(InputError, match="'PASSWORD' of User"):
        sessions.watching.tell(session, User(login="eve"), "PASSWORD")


def fail(_thing):
    raise ZeroDivisionError("of the application")


def ask_nonsense(user):
    session: Any = object_session(user)
    session.execute(text("SELECT id FROM nowhere"))


@pytest.mark.parametrize(
    ("watched", "because"),
    [
        (Watched(User, name=fail), "ZeroDivisionError: of the application"),
        (Watched(User, people=fail), "User 1 INSERT: ZeroDivisionError"),
        (Watched(User, url=ask_nonsense), "nowhere"),
        (Watched(User, kind="new_user", facts=lambda _: {"nickname": "x"}), "facts.nickname"),
        (Watched(User, people=lambda _: {"readers": "ann"}), "people.readers"),
    ],
    ids=["name", "people", "a statement", "facts that do not fit", "an unknown role"],
)
def test_what_goes_wrong_in_the_applications_functions_never_harms_its_commit(
    mailer, watching, caplog, watched, because
):
    sessions = watching(watched, IMAGE)

    with sessions.begin() as session:
        session.add_all([User(login="eve"), Image(name="cell.tiff")])

    with sessions() as session:
        assert session.scalars(select(User.login)).all() == ["eve"]
    assert mailer.parts.journal.counts()[Fact.EVENT_NOT_STORED] >= 1
    assert because in caplog.text
    assert subjects(mailer) == ["INSERT Image notification"]


@pytest.mark.parametrize("owner", [None, "", (), [None]], ids=repr)
def test_an_object_that_is_nobodys_is_told_of_to_the_others(mailer, watching, owner):
    sessions = watching(replace(USER, people=lambda _: {"owner": owner}))

    with sessions.begin() as session:
        session.add(User(login="eve"))

    assert subjects(mailer) == ["INSERT User notification"]


def ask_who():
    raise RuntimeError("no request")


@pytest.mark.parametrize("asked", ["actor", "client"])
def test_what_happened_is_told_although_nobody_can_say_who_did_it(mailer, watching, caplog, asked):
    sessions = watching(USER, **{asked: ask_who})

    with sessions.begin() as session:
        session.add(User(login="eve"))

    mail = deliver(mailer).only_to(ROOT)
    assert "eve" in mail.text
    assert "By:" not in mail.text
    assert "told of without who did it: RuntimeError: no request" in caplog.text


def test_of_several_objects_only_the_one_that_cannot_be_described_is_left_out(mailer, watching):
    def name(user):
        return {"eve": user.login, "finn": user.login}[user.login]

    sessions = watching(Watched(User, name=name))

    with sessions.begin() as session:
        session.add_all([User(login=login) for login in ("eve", "zoe", "finn")])

    text_ = deliver(mailer).only_to(ROOT).text
    assert [word in text_ for word in ("eve", "zoe", "finn")] == [True, False, True]


def test_a_description_that_adds_objects_does_not_keep_a_commit_from_ending(mailer, watching):
    def name(user):
        session: Any = object_session(user)
        session.add(User(login=f"{user.login}+"))
        return user.login

    sessions = watching(Watched(User, name=name))

    with sessions.begin() as session:
        session.add(User(login="eve"))

    with sessions() as session:
        assert session.scalars(select(User.login).order_by(User.id)).all()[:2] == ["eve", "eve+"]
    assert 1 < events(mailer) <= 10


def test_statements_that_pass_by_the_session_are_not_told(mailer, watching):
    sessions = watching(USER)

    with sessions.begin() as session:
        session.execute(insert(User).values(id=1, login="eve"))
        session.execute(update(User).values(login="eva"))
        session.execute(delete(User))

    assert events(mailer) == 0


def test_after_stop_nothing_is_told(mailer, watching):
    sessions = watching(USER)
    sessions.watching.stop()

    with sessions.begin() as session:
        session.add(User(login="eve"))

    assert events(mailer) == 0


def test_other_sessions_are_not_watched(mailer, watching, engine):
    watching(USER)

    with Session(engine) as session, session.begin():
        session.add(User(login="eve"))

    assert events(mailer) == 0


@pytest.mark.parametrize("form", ["class", "session", "scoped"])
def test_sessions_are_watched_whatever_makes_them(mailer, engine, form):
    class Ours(Session):
        pass

    sessions: Any = {
        "class": Ours,
        "session": Ours(engine),
        "scoped": scoped_session(sessionmaker(engine, class_=Ours)),
    }[form]
    watching = watch(sessions, mailer, [USER])
    session = sessions if form == "session" else Ours(engine) if form == "class" else sessions()

    with session:
        session.add(User(login="eve"))
        session.commit()

    watching.stop()
    assert subjects(mailer) == ["INSERT User notification"]


@pytest.mark.parametrize(
    ("sessions", "watched", "error", "words"),
    [
        (object(), USER, InputError, "sessions: expected a Session"),
        (Session, Watched(int), InputError, "watched: expected mapped classes, got int"),
        (Session, Watched(User, kind="new_usr", facts=dict), UnknownKindError, "new_user"),
    ],
    ids=["no sessions", "no mapped class", "unknown kind"],
)
def test_what_cannot_be_watched_is_refused_at_once(mailer, sessions, watched, error, words):
    with pytest.raises(error, match=words):
        watch(sessions, mailer, [watched])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"actions": "INSERT"}, "actions: expected a tuple"),
        ({"actions": ()}, "actions: expected a tuple"),
        ({"kind": "new_user"}, r"facts: expected a function of the object, got none"),
        ({"facts": dict}, "facts: expected no facts"),
    ],
    ids=["a text", "none", "a kind without facts", "facts without a kind"],
)
def test_a_rule_that_could_never_tell_is_refused(changes, words):
    with pytest.raises(InputError, match=words):
        Watched(User, **changes)


def test_an_outbox_elsewhere_has_it_after_the_commit_and_not_after_a_rollback(
    make_mailer, engine, sqlite_template, tmp_path
):
    path = tmp_path / "elsewhere.db"
    shutil.copyfile(sqlite_template, path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as copy:
        copy.execute("UPDATE envoi_meta SET value = 'another' WHERE name = 'database_id'")
    mailer = make_mailer(f"sqlite:///{path}")
    add_users(mailer)
    sessions = sessionmaker(engine)
    watching = watch(sessions, mailer, [USER])

    with sessions() as session:
        session.add(User(login="lost"))
        session.flush()
        session.rollback()
        session.add(User(login="kept"))
        session.commit()

    watching.stop()
    [mail] = deliver(mailer).sent
    assert "kept" in mail.text
    assert "lost" not in mail.text


def test_a_session_with_an_engine_per_class_tells_where_the_class_lives(mailer, engine, tmp_path):
    other = create_engine(f"sqlite:///{tmp_path / 'other.db'}")
    Table.metadata.create_all(other)
    sessions = sessionmaker(binds={User: engine, Image: other, Comment: other})
    watching = watch(sessions, mailer, [USER, IMAGE])

    with sessions() as session:
        session.add_all([User(login="eve"), Image(name="cell.tiff")])
        session.commit()

    watching.stop()
    other.dispose()
    assert subjects(mailer) == ["INSERT Image notification", "INSERT User notification"]


CURRENT = contextvars.ContextVar("current", default="")


@pytest.mark.parametrize("form", ["maker", "class", "session", "scoped"])
def test_asynchronous_sessions_are_watched_with_lazy_loads_and_context(mailer, outbox_url, form):
    async def application():
        url = outbox_url.replace("sqlite:", "sqlite+aiosqlite:")
        engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:"))
        async with engine.begin() as connection:
            await connection.run_sync(Table.metadata.create_all)

        class OurSync(Session):
            pass

        class Ours(AsyncSession):
            sync_session_class = OurSync

        maker = async_sessionmaker(engine)
        scoped = async_scoped_session(async_sessionmaker(engine), asyncio.current_task)
        session: Any = Ours(engine) if form in {"class", "session"} else None
        target: Any = {"maker": maker, "class": Ours, "session": session, "scoped": scoped}[form]
        watching = watch(target, mailer, [NEW_COMMENT, IMAGE], actor=CURRENT.get)
        CURRENT.set("bob")
        session = session or (maker() if form == "maker" else scoped())
        async with session:
            session.add(Comment(words="no", image=Image(name="lost", owner=User(login="ann"))))
            await session.flush()
            await session.rollback()
            session.add(Image(id=7, name="cell.tiff", owner=User(login="ann")))
            await session.commit()
        async with maker() if form == "maker" else session as session:
            session.add(Comment(words="sharp!", image_id=7))
            await session.commit()
        watching.stop()
        await engine.dispose()

    asyncio.run(application())

    recorder = deliver(mailer)
    assert sorted(sent.subject for sent in recorder.sent_to(ANN)) == [
        "INSERT Image notification",
        "New comment by Bob Ray (bob) on cell.tiff",
    ]


WITHOUT_GREENLET = """
import sys
sys.modules["greenlet"] = None
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker
from envoi import InputError, Mailer
from envoi.integrations.sqlalchemy import Watched, watch
from envoi.settings import from_mapping
from pathlib import Path

class Table(DeclarativeBase): pass
class User(Table):
    __tablename__ = "app_user"
    id: Mapped[int] = mapped_column(primary_key=True)

mailer = Mailer.from_settings(from_mapping({}, Path()))
watch(sessionmaker(), mailer, [Watched(User)])
try:
    watch(object(), mailer, [Watched(User)])
except InputError:
    print("well")
"""


def test_an_application_without_greenlet_can_watch(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_GREENLET],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stdout == "well\n", done.stderr
