"""Kallithea's users: the contract of all directories, and what its tables are like."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoi.addresses import parse_address
from envoi.directory.kallithea import kallithea_database, kallithea_directory
from envoi.directory.proposing import usable
from envoi.errors import AddressError, DirectoryError
from envoi.seams import Numbered
from tests.directory import contract
from tests.directory.conftest import add_group, as_kallithea
from tests.directory.contract import ask, audience_contract, found, pages
from tests.kallithea.schema import KallitheaUser, make_kallithea_db


@pytest.fixture
def people(empty_url, elsewhere):
    """Store users in a fresh database and ask it a question."""
    database, is_made = kallithea_database(empty_url), False

    def asked(users, question, limit=100):
        nonlocal is_made
        if not is_made:
            make_kallithea_db(empty_url, users)
            is_made = True
        return kallithea_directory(database).audience(elsewhere, question, limit=limit)

    yield asked
    database.close()


def logins(audience):
    return [candidate.person.login for candidate in audience.candidates]


def test_its_users_keep_the_contract_of_directories(database, elsewhere):
    audience_contract(kallithea_directory(database, contract.ADMIN_ADDRESSES), elsewhere)


def test_its_users_keep_the_contract_where_the_outbox_is_in_its_database(
    kallithea_url, database, request
):
    from envoi.outbox import open_outbox

    outbox = open_outbox(kallithea_url)
    outbox.upgrade()
    with outbox.transaction() as tx:
        audience_contract(kallithea_directory(database, contract.ADMIN_ADDRESSES), tx)
    outbox.close()


@pytest.mark.parametrize(
    "question",
    [
        ask("everyone"),
        ask("admins"),
        ask("group:all"),
        ask("user:default"),
        ask("user:DEFAULT"),
        ask("role:r", r=("default", "anonymous@kallithea-scm.org")),
        ask("anonymous@kallithea-scm.org"),
        replace(ask("role:r"), sought={"r": (("default",), ("anonymous@kallithea-scm.org",))}),
    ],
    ids=["everyone", "admins", "group", "user", "other case", "role", "address", "sought"],
)
def test_the_anonymous_user_is_nobody(empty_url, people, question):
    users = [KallitheaUser("ann", "ann@example.org", groups=("all",), is_admin=True)]
    people(users, ask())
    with as_kallithea(empty_url) as connection:
        connection.exec_driver_sql("UPDATE users SET admin = TRUE")
        connection.exec_driver_sql(
            "INSERT INTO users_groups_members (users_group_id, user_id) VALUES (1, 1)"
        )

    audience = people(users, question)

    assert set(found(audience)) <= {"ann"}


def test_the_anonymous_user_as_actor_is_nobody(people):
    users = [KallitheaUser("ann", "ann@example.org")]

    for actor in ("default", "anonymous@kallithea-scm.org"):
        assert people(users, ask("everyone", actor=actor)).actor is None


@pytest.mark.parametrize(
    ("email", "address", "unusable"),
    [
        ("ann@example.org", "ann@example.org", ""),
        (None, None, ""),
        ("", None, ""),
        ("ann at example.org", None, "ann at example.org"),
        ("ann@localhost", None, "ann@localhost"),
        ("a@x.test, b@x.test", None, "a@x.test, b@x.test"),
        ("ann@x.test\r\nBcc: eve@x.test", None, r"ann@x.test\r\nBcc: eve@x.test"),
        ("ann@ex\u00e4mple.org", "ann@xn--exmple-cua.org", ""),
    ],
    ids=["plain", "null", "empty", "no @", "no dot", "list", "header", "international"],
)
def test_mail_goes_to_the_primary_address_or_nowhere(people, email, address, unusable):
    users = [KallitheaUser("ann", email, ("second@example.org",))]

    [candidate] = people(users, ask("everyone")).candidates

    assert (candidate.person.address and str(candidate.person.address)) == address
    assert candidate.person.unusable_address == unusable


def test_persons_have_their_names_and_sort_by_number(people):
    users = [KallitheaUser("zed", "z@example.org", firstname="Zoë", lastname="Lee")]

    [candidate] = people(users, ask("everyone")).candidates

    assert candidate.person.id == "user:000000000002"
    assert candidate.person.full_name == "Zoë Lee"
    assert (candidate.person.locale, candidate.person.time_zone) == ("", "")


def test_names_that_others_wrote_cannot_break_a_line(people):
    users = [KallitheaUser("an\nn", "a@example.org", firstname="A\r\nBcc: b", lastname="x" * 250)]

    [candidate] = people(users, ask("everyone")).candidates

    for text in (candidate.person.login, candidate.person.first_name, candidate.person.last_name):
        assert text.isprintable()


@pytest.mark.parametrize(
    ("reference", "login"),
    [
        ("Ann", "Ann"),
        ("ann", "ann"),
        ("ANN", "Ann"),
        ("\u00e4nne", "\u00c4NNE"),
        ("MIXED@example.org", "mixed"),
        ("mixed@EXAMPLE.org", "mixed"),
        ("other@example.org", "mixed"),
        ("uni@EX\u00c4MPLE.org", "uni"),
        ("uni@xn--exmple-cua.org", "uni"),
    ],
)
def test_references_match_without_regard_to_case(people, reference, login):
    users = [
        KallitheaUser("Ann"),
        KallitheaUser("ann"),
        KallitheaUser("\u00c4NNE"),
        KallitheaUser("mixed", "Mixed@Example.org", ("OTHER@example.org",)),
        KallitheaUser("uni", "uni@ex\u00e4mple.org"),
    ]

    assert logins(people(users, ask("role:r", r=(reference,)))) == [login]


def test_an_inactive_group_has_no_members(empty_url, people):
    users = [KallitheaUser("ann", "ann@example.org")]
    people(users, ask())
    add_group(empty_url, "gone", 2, is_active=False)

    audience = people(users, ask("group:gone"))

    assert (logins(audience), audience.answered, audience.unknown) == ([], frozenset(), {})


def test_a_member_twice_is_found_once(empty_url, people):
    users = [KallitheaUser("ann", "ann@example.org"), KallitheaUser("bob", "bob@example.org")]
    people(users, ask())
    add_group(empty_url, "twice", 2, 2, 3)

    assert logins(people(users, ask("group:twice"), limit=2)) == ["ann", "bob"]


def test_an_extra_address_of_a_user_who_is_gone_is_nobodys(tmp_path, elsewhere):
    url = f"sqlite:///{tmp_path / 'kallithea.db'}"  # PostgreSQL holds its foreign keys
    make_kallithea_db(url, [KallitheaUser("ann", "ann@example.org", groups=("all",))])
    add_group(url, "gone", 99)
    with as_kallithea(url) as connection:
        connection.exec_driver_sql(
            "INSERT INTO user_email_map (user_id, email) VALUES (99, 'gone@example.org')"
        )
    database = kallithea_database(url)

    taken = pages(
        kallithea_directory(database), elsewhere, ask("group:gone", "gone@example.org"), 1
    )
    database.close()

    assert [list(found(page)) for page in taken] == [["gone@example.org"]]


def test_a_name_in_another_encoding_costs_nobody_his_mail(tmp_path, elsewhere):
    url = f"sqlite:///{tmp_path / 'kallithea.db'}"  # PostgreSQL takes no such name
    make_kallithea_db(url, [KallitheaUser("ann", "ann@example.org")])
    with as_kallithea(url) as connection:
        connection.exec_driver_sql("UPDATE users SET firstname = CAST(X'C4' AS TEXT)")
    database = kallithea_database(url)

    [candidate] = (
        kallithea_directory(database).audience(elsewhere, ask("everyone"), limit=9).candidates
    )
    database.close()

    assert str(candidate.person.address) == "ann@example.org"


def test_users_and_groups_are_known_by_their_numbers(database, elsewhere):
    directory = kallithea_directory(database)

    assert isinstance(directory, Numbered)
    assert directory.newest(elsewhere) == f"user:{len(contract.WORLD) + 1:012d}"
    assert directory.user_numbered(elsewhere, 2) == "ann"
    assert directory.group_numbered(elsewhere, 1) == "developers"
    for nobody in (1, 10**17):  # the first is the anonymous user
        assert directory.user_numbered(elsewhere, nobody) == ""
    assert directory.group_numbered(elsewhere, 10**17) == ""


def test_where_nobody_is_everybody_is_yet_to_come(empty_url, elsewhere):
    make_kallithea_db(empty_url)
    database = kallithea_database(empty_url)

    newest = kallithea_directory(database).newest(elsewhere)
    database.close()

    assert newest < "user:000000000002"


texts = st.one_of(
    st.from_regex(r"[Aa0._+-]{1,4}@[Aa0.-]{1,9}", fullmatch=True),
    st.from_regex(r"[a'\u00e4@ ]{1,3}@[a\u00e4.-]{1,9}", fullmatch=True),
    st.builds(lambda n, m: f"{'a' * n}@{'b' * m}.test", st.integers(60, 66), st.integers(60, 66)),
    st.builds(lambda n: f"a@{'b.' * n}test", st.integers(110, 130)),
    st.text(max_size=9),
)


@given(texts)
def test_the_short_way_to_an_address_leads_where_the_long_one_does(text):
    try:
        expected = parse_address(text)
    except AddressError:
        expected = None

    assert usable(text) == expected


class CountingTables:
    """Counts the statements of a transaction."""

    def __init__(self, tx):
        self.tx, self.dialect, self.count = tx, tx.dialect, 0

    def execute(self, sql, params):
        self.count += 1
        return self.tx.execute(sql, params)

    def execute_many(self, sql, params):
        raise AssertionError(sql)


def test_an_audience_of_hundreds_costs_a_handful_of_statements(empty_url, elsewhere):
    from envoi.directory.kallithea import KallitheaTables
    from envoi.directory.merging import page_of

    names = [f"user{n}" for n in range(400)]
    make_kallithea_db(empty_url, [KallitheaUser(name, f"{name}@example.org") for name in names])
    database = kallithea_database(empty_url)
    question = ask("role:r", "everyone", "admins", "group:none", r=(*names, "nobody"))
    question = replace(question, sought={"s": (("USER1",), ("x@y.test",))})
    with database.reading(elsewhere) as tx:
        counting = CountingTables(tx)
        audience = page_of(KallitheaTables(counting), question, (), after="", limit=400)
    database.close()

    assert len(audience.candidates) == 400
    # Logins, addresses and groups twice each (as typed, then whatever their case), everyone,
    # the admins, and the people themselves.
    assert counting.count <= 9


def test_what_kallithea_has_not_committed_is_seen_from_inside_only(kallithea_url, database):
    from envoi.outbox import open_outbox

    question = ask("role:r", r=("newcomer",))
    outbox = open_outbox(kallithea_url)
    outbox.upgrade()
    directory = kallithea_directory(database)
    with outbox.transaction() as tx:
        tx.execute(
            """INSERT INTO users (username, password, active, admin, firstname, lastname, email,
                api_key, created_on)
            VALUES ('newcomer', 'none', TRUE, FALSE, '', '', 'new@example.org', 'none', :at)""",
            {"at": "2020-01-01 00:00:00"},
        )

        inside = logins(directory.audience(tx, question, limit=9))
        many = directory.count(tx, question)
        with database.alone() as other:
            rows = other.execute("SELECT 1 FROM users WHERE username = 'newcomer'", {})
    outbox.close()

    assert (inside, many, list(rows)) == (["newcomer"], 1, [])


def test_a_database_without_its_tables_is_said_to_be_none(empty_url, elsewhere):
    if empty_url.startswith("sqlite"):
        with as_kallithea(empty_url) as connection:
            connection.exec_driver_sql("CREATE TABLE other (id INTEGER)")
    database = kallithea_database(empty_url)

    with pytest.raises(DirectoryError, match=r"these are not its tables: check directory\.url"):
        kallithea_directory(database).audience(elsewhere, ask("everyone"), limit=9)
    database.close()
