"""The address of an outbox: one file, one server, or the servers that may be promoted."""

import psycopg
import pytest

from envoi.errors import InputError
from envoi.outbox.location import parse_url


def libpq(text):
    """What libpq is told, as SQLAlchemy hands it over."""
    url = parse_url(text)
    return url.get_dialect()().create_connect_args(url)[1]


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("postgresql://envoi:pw@db1:5433,db2:5434/mail", "db1,db2", "5433,5434"),
        ("postgresql://envoi@db1,db2:5434/mail", "db1,db2", "5432,5434"),
        ("postgres://db1,[2001:db8::1]:77/mail", "db1,2001:db8::1", "5432,77"),
    ],
)
def test_several_hosts_are_read_as_libpq_writes_them(text, host, port):
    found = libpq(text)

    assert (found["host"], found["port"], found["dbname"]) == (host, port, "mail")
    assert found["target_session_attrs"] == "read-write"


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://envoi@/mail?host=db1:1&host=db2:2",
        "postgresql://envoi@/mail?host=db1,db2&port=1,2",
    ],
)
def test_the_other_forms_of_several_hosts_ask_for_the_writing_one_too(text):
    found = libpq(text)

    assert (found["host"], found["port"]) == ("db1,db2", "1,2")
    assert found["target_session_attrs"] == "read-write"


@pytest.mark.parametrize(
    "text", ["postgresql://u:a,b@db/mail", "postgresql://u@db/a,b", "postgresql://u@/m?host=/run/x"]
)
def test_a_comma_elsewhere_makes_no_second_host(text):
    assert "target_session_attrs" not in libpq(text)


def test_what_the_address_says_of_its_servers_wins():
    found = libpq("postgresql://db1,db2/mail?target_session_attrs=any&sslmode=require")

    assert (found["target_session_attrs"], found["sslmode"]) == ("any", "require")


def test_the_password_of_several_hosts_stays_the_password():
    assert libpq("postgresql://envoi:p%40ss%2Cw@db1,db2/mail")["password"] == "p@ss,w"


@pytest.mark.parametrize("hosts", ["db1:x,db2", "db1,", ",db1", "db1,db2:123456", "db1:1:2,db2"])
def test_hosts_that_cannot_be_read_are_refused_without_repeating_the_password(hosts):
    with pytest.raises(InputError, match="HOST1:PORT,HOST2:PORT") as refused:
        parse_url(f"postgresql://envoi:hunter2@{hosts}/mail")

    assert "hunter2" not in str(refused.value)


@pytest.mark.postgresql
def test_a_dead_first_host_is_passed_over(postgresql_url):
    """The socket folder of the running server stands behind one where nobody listens."""
    from envoi.outbox import open_outbox

    place = psycopg.conninfo.conninfo_to_dict(postgresql_url.partition("?")[2])
    outbox = open_outbox(
        postgresql_url.partition("?")[0] + f"?host=/nowhere,{place['host']}&port=5432,5432"
    )
    with outbox.transaction() as tx:
        assert tx.execute("SELECT 1", {}) == [(1,)]
    outbox.close()
