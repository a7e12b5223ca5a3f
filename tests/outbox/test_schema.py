"""The tables: made by migrations, compared with the metadata, and refused when they do not fit."""

from importlib import resources

import pytest
import sqlalchemy
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

from envoi.errors import SchemaError
from envoi.outbox import SchemaState, open_outbox, tables
from envoi.outbox.schema import REVISIONS, VERSION_TABLE

# It reflects no index on an expression; `lower(address)` has a test of its own.
SQLITE_TELLS_LESS = "ignore:Skipped unsupported reflection of expression-based index"


@pytest.fixture
def empty(empty_url):
    outbox = open_outbox(empty_url)
    yield outbox
    outbox.close()


def set_revision(outbox, revision):
    with outbox.transaction() as tx:
        tx.execute(f"UPDATE {VERSION_TABLE} SET version_num = :revision", {"revision": revision})


def test_an_empty_database_has_no_tables_and_is_refused(empty):
    assert empty.database.state() is SchemaState.MISSING
    with pytest.raises(SchemaError, match="envoi db upgrade"):
        empty.database.require_current()


def test_upgrade_makes_the_tables_and_may_be_repeated(empty):
    empty.upgrade()
    empty.upgrade()

    assert empty.database.state() is SchemaState.CURRENT
    empty.database.require_current()


def test_tables_of_a_later_version_are_refused_by_upgrade_too(outbox):
    set_revision(outbox, "9999")

    assert outbox.database.state() is SchemaState.NEWER
    with pytest.raises(SchemaError, match="newer"):
        outbox.database.require_current()
    with pytest.raises(SchemaError, match="newer"):
        outbox.upgrade()


def test_tables_of_an_earlier_version_ask_for_an_upgrade(outbox, monkeypatch):
    monkeypatch.setattr("envoi.outbox.schema.REVISIONS", (*REVISIONS, "9999"))

    assert outbox.database.state() is SchemaState.OLDER
    with pytest.raises(SchemaError, match=r"older.*envoi db upgrade"):
        outbox.database.require_current()


def test_the_revisions_in_code_are_the_files(outbox):
    files = resources.files("envoi.outbox.migrations").joinpath("versions").iterdir()
    numbers = sorted(file.name[:4] for file in files if file.name[0].isdigit())

    assert list(REVISIONS) == numbers


@pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based")
@pytest.mark.filterwarnings(SQLITE_TELLS_LESS)
def test_migrations_and_metadata_agree(outbox):
    def ours(_object, name, kind, _reflected, _compared):
        return kind != "table" or name.startswith("envoi_")

    with outbox.database.engine().connect() as connection:
        options = {
            "version_table": VERSION_TABLE,
            "include_object": ours,
        }
        context = MigrationContext.configure(connection, opts=options)
        differences = compare_metadata(context, tables.metadata)

    assert differences == []


def described(connection, schema):
    """Every column and index, as the engine itself tells them."""
    inspector = sqlalchemy.inspect(connection)
    return {
        name: (
            [{**c, "type": str(c["type"])} for c in inspector.get_columns(name, schema=schema)],
            sorted(
                (
                    index["name"],
                    index["column_names"],
                    index["unique"],
                    sorted((k, str(v)) for k, v in index.get("dialect_options", {}).items()),
                )
                for index in inspector.get_indexes(name, schema=schema)
            ),
        )
        for name in tables.metadata.tables
    }


@pytest.mark.filterwarnings(SQLITE_TELLS_LESS)
def test_migrations_and_metadata_agree_in_defaults_and_partial_indexes(outbox, tmp_path):
    engine = outbox.database.engine()
    if outbox.database.dialect == "sqlite":
        made = sqlalchemy.create_engine("sqlite://")
        schema = None
    else:
        made = engine.execution_options(schema_translate_map={None: "made"})
        schema = "made"

    with made.begin() as connection:
        if schema:
            connection.exec_driver_sql("CREATE SCHEMA made")
        tables.metadata.create_all(connection)
        expected = described(connection, schema)
    with engine.connect() as connection:
        actual = described(connection, None)

    assert str(expected).replace("made.", "") == str(actual)
    made.dispose()


def test_every_outbox_has_an_identity_of_its_own(outbox):
    with outbox.reading() as tx:
        [[identity]] = tx.execute("SELECT value FROM envoi_meta WHERE name = 'database_id'", {})

    assert len(identity) == 36


def test_the_tables_live_beside_somebody_elses(empty):
    with empty.transaction() as tx:
        tx.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))", {})
        tx.execute("CREATE TABLE app_user (id INTEGER)", {})
        tx.execute("INSERT INTO alembic_version VALUES ('theirs')", {})

    empty.upgrade()

    with empty.reading() as tx:
        assert [tuple(row) for row in tx.execute("SELECT * FROM alembic_version", {})] == [
            ("theirs",)
        ]


def test_the_tables_live_in_a_schema_of_their_own(postgres_server):
    with postgres_server.database(template="template0") as name:
        outbox = open_outbox(postgres_server.url(name), schema="mail")
        outbox.upgrade()
        outbox.upgrade()

        with outbox.transaction() as tx:
            tx.execute("INSERT INTO envoi_switch (name, value) VALUES (:name, 'on')", {"name": "a"})
        with outbox.database.engine().connect() as connection:
            names = sqlalchemy.inspect(connection).get_table_names(schema="mail")
            assert sqlalchemy.inspect(connection).get_table_names() == []
            assert connection.execute(sqlalchemy.select(tables.switch.c.value)).all() == [("on",)]
            assert {*tables.metadata.tables, VERSION_TABLE} == set(names)
            assert outbox.database.state() is SchemaState.CURRENT
        outbox.close()


def test_the_id_of_a_removed_user_does_not_come_back(outbox):
    add = "INSERT INTO envoi_user (application, login, login_key) VALUES ('main', 'x', 'x')"
    with outbox.transaction() as tx:
        tx.execute(add, {})
        [[first]] = tx.execute("SELECT id FROM envoi_user", {})
        tx.execute("DELETE FROM envoi_user", {})
        tx.execute(add, {})
        [[second]] = tx.execute("SELECT id FROM envoi_user", {})

    assert second > first


def test_an_outbox_of_the_first_release_keeps_its_mail(empty):
    with empty.database.engine().begin() as connection:
        config = Config()
        config.set_main_option("script_location", "src/envoi/outbox/migrations")
        config.set_main_option("path_separator", "os")
        config.attributes.update(connection=connection, schema="")
        command.upgrade(config, "0001")
    with empty.database.write() as tx:
        tx.execute(
            """INSERT INTO envoi_event (uid, application, kind, state)
            VALUES ('a', 'main', 'note', 'routed')""",
            {},
        )
        tx.execute(
            """INSERT INTO envoi_message
                (uid, event_id, application, kind, class, locale, time_zone)
            VALUES ('b', 1, 'main', 'note', 1, 'en', 'UTC')""",
            {},
        )
        tx.execute(
            """INSERT INTO envoi_delivery
                (message_id, event_id, application, address, class, state, because)
            VALUES (1, 1, 'main', 'Bob@example.org', 1, 'sent', 'named:x')""",
            {},
        )
        tx.execute("INSERT INTO envoi_attempt (delivery_id, reply) VALUES (1, '250')", {})

    empty.upgrade()

    with empty.reading() as tx:
        rows = tx.execute("SELECT reply, sent_to FROM envoi_attempt", {})
        where = "WHERE lower(address) = 'bob@example.org'"
        assert tx.execute(f"SELECT id FROM envoi_delivery {where}", {})[0][0] == 1
    assert [tuple(row) for row in rows] == [("250", "")]
    assert empty.database.state() is SchemaState.CURRENT
