"""Users of a real LDAP server: the contract of all directories, and what servers are like."""

import socket
from contextlib import contextmanager
from threading import Thread

import pytest
from ldap3.core.exceptions import LDAPConnectionIsReadOnlyError, LDAPException

from envoi.core.people import Address
from envoi.directory.ldap import ldap_source
from envoi.directory.ldap_people import dn_key, first_part, number_of
from envoi.directory.ldap_talk import escaped
from envoi.directory.records import UserFilter
from envoi.errors import DirectoryError
from envoi.settings import LdapSettings, Secret
from tests.directory import contract
from tests.directory.contract import ask, audience_contract, found, pages
from tests.directory.slapd import (
    BASE,
    PASSWORD,
    READER,
    Slapd,
    free_port,
    ldif,
    serving,
    slapd_path,
)

MANY = 1_200

# `.ci/run` installs it; who develops on something else than Debian may have none.
pytestmark = pytest.mark.skipif(
    slapd_path() is None, reason="slapd is not installed (Debian: apt install slapd)"
)


def person(place: str, login: str, *more: str, number: int = 0) -> str:
    return ldif(
        f"uid={login},{place}",
        "objectClass: inetOrgPerson",
        *(("objectClass: posixAccount", f"uidNumber: {number}") if number else ()),
        *(("gidNumber: 100", f"homeDirectory: /home/{login}") if number else ()),
        f"uid: {login}",
        "cn: Some Body",
        "sn: Lee",
        *more,
    )


def somebody(one: contract.Somebody, number: int = 0) -> str:
    mail, *extra = [*one.addresses, ""]
    return person(
        "ou=world",
        one.login,
        *([f"mail: {mail}"] if mail else ()),
        *(f"description: {text}" for text in extra if text),
        *([] if one.is_active else ["employeeType: gone"]),
        number=number,
    )


def dn_of(login: str, place: str = "ou=world") -> str:
    return f"uid={login},{place},{BASE}"


def people_of(group: str) -> list[str]:
    return [one.login for one in contract.WORLD if group in one.groups]


def unit(name: str) -> str:
    return ldif(f"ou={name}", "objectClass: organizationalUnit", f"ou: {name}")


def listed(dn: str, name: str, members) -> str:
    """A group that names its members' entries."""
    names = [f"member: {member}" for member in members]
    return ldif(dn, "objectClass: groupOfNames", f"cn: {name}", *names)


ENTRIES = [
    unit("world"),
    *(somebody(one, number) for number, one in enumerate(contract.WORLD, start=1)),
    # Its members are spelt as somebody typed them; a robot is no user, and one is elsewhere.
    listed(
        "cn=Developers,ou=world",
        "Developers",
        [
            *(dn_of(login).upper().replace(",", ", ") for login in people_of("developers")),
            f"cn=robot,ou=world,{BASE}",
            "uid=ann,dc=elsewhere,dc=test",
        ],
    ),
    ldif(
        "cn=testers,ou=world",
        "objectClass: posixGroup",
        "cn: testers",
        "gidNumber: 1",
        *(f"memberUid: {login}" for login in [*people_of("testers"), "nobody"]),
    ),
    ldif("cn=empty,ou=world", "objectClass: posixGroup", "cn: empty", "gidNumber: 2"),
    listed("cn=admins,ou=world", "admins", [dn_of("ann"), dn_of("eve")]),
    ldif(
        "cn=robot,ou=world",
        "objectClass: organizationalRole",
        "cn: robot",
        "description: robot@example.org",
    ),
    unit("many"),
    *(
        person("ou=many", f"user{n}", f"mail: user{n}@example.org", "givenName: Zo\u00eb", number=n)
        for n in range(1, MANY + 1)
    ),
    listed("cn=all,ou=many", "all", [dn_of(f"user{n}", "ou=many") for n in range(1, MANY + 1)]),
    listed("cn=few,ou=many", "few", [dn_of("user7", "ou=many"), dn_of("user9", "ou=many")]),
    unit("odd"),
    person("ou=odd", "twin1", "mail: one@example.org", "mail: two@example.org", number=5),
    person("ou=odd", "twin2", number=5),
    person("ou=odd", "b\u00f6b*(x)", "mail: star@example.org", number=6),
]


@pytest.fixture(scope="session")
def slapd(tmp_path_factory):
    # Short: slapd refuses long names of folders nowhere, but its own log shows them.
    with serving(tmp_path_factory.mktemp("slapd"), ENTRIES) as server:
        yield server


@pytest.fixture
def source(slapd: Slapd):
    """Open a source as the settings would."""

    def opened(place="world", url="", **settings):
        values = {
            "base": f"ou={place},{BASE}" if place else BASE,
            "bind_dn": READER,
            "bind_password": Secret(PASSWORD),
            "ca_file": slapd.ca_file,
            "inactive": "(employeeType=gone)",
            "extra_email": "description",
            "admins": "ADMINS",
            **settings,
        }
        return ldap_source(url or slapd.tls_url, LdapSettings(**values))

    return opened


def logins(audience):
    return [candidate.person.login for candidate in audience.candidates]


@pytest.mark.parametrize("scheme", ["ldaps", "starttls", "clear"])
def test_a_server_answers_as_every_directory_must(slapd, source, elsewhere, scheme):
    url = slapd.tls_url if scheme == "ldaps" else slapd.url
    opened = source(url=url, starttls=scheme != "clear", id="uidNumber")

    audience_contract(opened.directory(contract.ADMIN_ADDRESSES), elsewhere)


def test_a_thousand_people_come_in_pages_each_once(source, elsewhere):
    directory = source("many", id="uidNumber", admins="").directory()

    taken = pages(directory, elsewhere, ask("everyone", "group:all"), 300)

    assert [c.person.id for page in taken for c in page.candidates] == [
        f"user:{n:012d}" for n in range(1, MANY + 1)
    ]
    assert {c.found_by for page in taken for c in page.candidates} == {
        frozenset(ask("everyone", "group:all").selectors)
    }
    assert directory.count(elsewhere, ask("everyone")) == MANY


def test_a_small_group_and_a_name_are_asked_for_without_everybody(source, elsewhere):
    # Two of them share an id: whoever asked for everybody would be refused.
    directory = source("", admins="few", id="uidNumber").directory()

    audience = directory.audience(
        elsewhere, ask("group:few", "admins", "role:r", r=("USER7@example.org",)), limit=9
    )

    assert found(audience) == {
        "user7": {"group:few", "admins", "role:r"},
        "user9": {"group:few", "admins"},
    }
    assert audience.candidates[0].matched == Address("user7", "example.org")


def test_groups_may_be_told_by_their_members(source, elsewhere):
    # The server's own overlay fills in the attribute for groups that are made while it runs; the
    # tests' groups are loaded before, so users name theirs by hand.
    directory = source(
        "world", member_of="description", groups="(objectClass=inetOrgPerson)", group_name="uid"
    ).directory()

    audience = directory.audience(elsewhere, ask("group:ann", "role:r", r=("bob",)), limit=9)

    assert found(audience) == {"bob": {"role:r"}}


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("b\u00f6b*(x)", ["b\u00f6b*(x)"]),
        ("B\u00d6B*(X)", ["b\u00f6b*(x)"]),
        ("two@example.org", ["twin1"]),
        ("*", []),
        ("user*", []),
        ("*)(uid=*", []),
        ("b\u00f6b*(x))(|(uid=*", []),
        ("tw\\69n1", []),
        ("twin1 ", []),
        ("twin2)(objectClass=*", []),
    ],
)
def test_texts_in_filters_mean_only_themselves(source, elsewhere, reference, expected):
    directory = source("odd", admins="", inactive="").directory()

    audience = directory.audience(elsewhere, ask("role:r", r=(reference,)), limit=9)

    assert logins(audience) == expected


def test_mail_goes_to_the_first_of_several_addresses(source, elsewhere):
    directory = source("odd", admins="").directory()

    [one] = directory.audience(elsewhere, ask("user:twin1"), limit=9).candidates

    assert str(one.person.address) == "one@example.org"


def test_two_users_with_one_id_are_never_mixed_up(source, elsewhere):
    directory = source("odd", id="uidNumber", admins="").directory()

    with pytest.raises(DirectoryError, match=r"ldap\.id: expected another uidNumber for each user"):
        directory.audience(elsewhere, ask("everyone"), limit=9)
    assert logins(directory.audience(elsewhere, ask("user:twin1"), limit=9)) == ["twin1"]


def test_a_user_without_the_id_is_told_by_name(source, elsewhere):
    directory = source("world", id="employeeNumber").directory()

    with pytest.raises(DirectoryError, match=r"expected one employeeNumber in every user.*uid=ann"):
        directory.audience(elsewhere, ask("user:ann"), limit=9)


def test_an_id_stays_and_is_found_again(source, elsewhere):
    first, second = source().directory(), source(cache_s=0).directory()

    [once] = first.audience(elsewhere, ask("user:ann"), limit=9).candidates
    [again] = second.audience(elsewhere, ask("role:r", r=("ann@old.test",)), limit=9).candidates

    assert once.person == again.person
    number = int(once.person.id.removeprefix("user:"))
    assert second.user_numbered(elsewhere, number) == "ann"
    assert second.user_numbered(elsewhere, 12) == ""


def test_users_and_groups_are_known_by_their_numbers(source, elsewhere):
    directory = source("many", id="uidNumber", admins="").directory()

    assert directory.user_numbered(elsewhere, 7) == "user7"
    with source("many", id="uidNumber", admins="").roster(elsewhere) as roster:
        numbers = {group.name: group.id for group in roster.groups()}
    assert directory.group_numbered(elsewhere, numbers["few"]) == "few"
    assert directory.group_numbered(elsewhere, 3) == ""


def test_everybody_is_asked_for_once_while_the_list_is_kept(tmp_path, elsewhere):
    with serving(tmp_path, [unit("world"), *map(somebody, contract.WORLD)]) as server:
        settings = LdapSettings(
            base=BASE, bind_dn=READER, bind_password=Secret(PASSWORD), starttls=False, cache_s=3600
        )
        source = ldap_source(server.url, settings)
        with source.reading(elsewhere) as tables:
            before = len(tables.everyone(-1, 100))
            server.process.terminate()
            server.process.wait()
            again = len(tables.everyone(-1, 100))

            source.close()
            with pytest.raises(LDAPException):
                tables.everyone(-1, 100)

    assert (before, again) == (len(contract.WORLD), len(contract.WORLD))


def test_nobody_waits_for_a_count_of_everybody(source, elsewhere):
    directory = source("many", id="uidNumber", admins="").directory()

    before = directory.count(elsewhere, ask("everyone"))
    directory.audience(elsewhere, ask("everyone"), limit=1)
    after = directory.count(elsewhere, ask("everyone"))

    assert before > 10**9, "not known is many: the worker finds them"
    assert after == MANY


@pytest.mark.parametrize(
    ("dn", "expected"),
    [
        ("uid=ann,o=x", ("uid", "ann")),
        (" UID = ann , o=x", ("UID", "ann")),
        ("cn=Lee\\, Ann,o=x", ("cn", "Lee, Ann")),
        ("cn=\\C3\\84nne+ou=a,o=x", ("cn", "\u00c4nne")),
        ("cn=a\\\\,o=x", ("cn", "a\\")),
        ("2.5.4.3=ann,o=x", ("2.5.4.3", "ann")),
        ("no name", None),
        ("", None),
    ],
)
def test_the_first_part_of_a_name_is_read(dn, expected):
    assert first_part(dn) == expected


def test_operators_see_users_and_groups(source, elsewhere):
    with source().roster(elsewhere) as roster:
        users = roster.users(UserFilter(), after=-1, limit=100)
        groups = {group.name: group.members for group in roster.groups()}
        ann = roster.user("ANN@old.test")
        inactive = roster.users(UserFilter(is_active=False), after=-1, limit=100)

    assert {user.login for user in users} == set(contract.LOGINS)
    assert groups == {"Developers": 3, "testers": 2, "empty": 0, "admins": 2}
    assert [address.text for address in ann.addresses] == list(contract.WORLD[0].addresses)
    assert (ann.groups, ann.is_admin) == (("Developers", "admins"), True)
    assert [user.login for user in inactive] == ["eve"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"bind_password": Secret("wrong")}, r"check ldap\.bind_dn and ldap\.bind_password"),
        ({"bind_dn": "", "bind_password": Secret()}, r"check ldap\.base"),
        ({"base": "ou=nowhere,dc=example,dc=org"}, r"check ldap\.base"),
        ({"base": "no name at all"}, r"check ldap\.base"),
        ({"users": "(uid=)(x"}, r"check the filters in \[ldap\]"),
        ({"ca_file": None}, r"name the authority to trust by ldap\.ca_file"),
    ],
    ids=["password", "nobody", "base", "no base", "filter", "authority"],
)
def test_what_is_wrong_is_told_with_what_to_do(source, elsewhere, settings, words):
    with pytest.raises(DirectoryError, match=words) as told:
        source(**settings).directory().audience(elsewhere, ask("user:ann"), limit=9)
    assert PASSWORD not in str(told.value)


@pytest.mark.parametrize("scheme", ["ldaps", "starttls"])
def test_a_certificate_of_another_host_is_refused(slapd, source, elsewhere, scheme):
    url = (slapd.tls_url if scheme == "ldaps" else slapd.url).replace("localhost", "127.0.0.1")

    with pytest.raises(DirectoryError, match="its certificate is another host's"):
        source(url=url).directory().audience(elsewhere, ask("user:ann"), limit=9)


def test_a_server_without_starttls_is_told_nothing(source, elsewhere):
    heard: list[bytes] = []
    with answering(heard, refusal) as port:
        directory = source(url=f"ldap://127.0.0.1:{port}").directory()
        with pytest.raises(DirectoryError):
            directory.audience(elsewhere, ask("user:ann"), limit=9)

    assert heard
    assert all(PASSWORD.encode() not in octets for octets in heard)


def refusal(octets: bytes) -> bytes:
    """The answer `protocolError` to whatever was asked (RFC 4511 4.12)."""
    message_id = octets[4:5]
    return b"\x30\x0c\x02\x01" + message_id + b"\x78\x07\x0a\x01\x02\x04\x00\x04\x00"


@contextmanager
def answering(heard: list[bytes], answer):
    """Serve one conversation on a loopback port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            line, _ = listener.accept()
            with line:
                while octets := line.recv(10_000):
                    heard.append(octets)
                    line.sendall(answer(octets))

        thread = Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@pytest.mark.parametrize("scheme", ["ldaps", "ldap"])
def test_a_server_that_says_nothing_is_given_up(source, elsewhere, scheme):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}"
        directory = source(url=url).directory()
        with pytest.raises(DirectoryError):
            directory.audience(elsewhere, ask("user:ann"), limit=9)

        # Others do not wait for it again.
        with pytest.raises(DirectoryError, match="not tried again for 10 s"):
            directory.audience(elsewhere, ask("user:ann"), limit=9)


def test_a_server_that_is_down_is_told_and_asked_again(source, elsewhere):
    directory = source(url=f"ldap://127.0.0.1:{free_port()}").directory()

    for _ in range(2):
        with pytest.raises(DirectoryError, match=r"check directory\.url, and that the server runs"):
            directory.audience(elsewhere, ask("user:ann"), limit=9)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, []),
        ({"admins": "bosses"}, ["ldap.admins"]),
        ({"users": "(uid=nobody)"}, ["ldap.users"]),
        ({"login": "telexNumber"}, ["ldap.users"]),
    ],
    ids=["all right", "admins", "users", "login"],
)
def test_check_tells_what_does_not_fit(source, settings, expected):
    assert [problem.where for problem in source(**settings).misfits()] == expected


def test_no_question_can_write(source, elsewhere):
    with source().reading(elsewhere) as tables:
        connection = tables._talk._connection
        with pytest.raises(LDAPConnectionIsReadOnlyError):
            connection.delete(dn_of("ann"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("uid=ann,ou=People", "UID=Ann, OU=people"),
        ("cn=a\\, b,o=x", "CN=A\\, b , O=X"),
        ("cn=\u00c4nne,o=x", "cn=\u00e4nne,o=x"),
    ],
)
def test_two_spellings_of_a_name_are_one(one, other):
    assert dn_key(one) == dn_key(other)


@pytest.mark.parametrize(
    "value", [b"", b"123456789012", b"\x00\xff", b"-1", "\u0663".encode(), b"1" * 1000]
)
def test_every_other_id_becomes_eighteen_digits(value):
    number = number_of(value)

    assert len(str(number)) == 18
    assert number == number_of(value)


def test_a_text_is_escaped_as_rfc_4515_says():
    assert escaped("a*(b)\\\x00\u00e4") == "a\\2a\\28b\\29\\5c\\00\u00e4"
