"""Who a mail is from, which type it is, and in which conversation it stands."""

from email import message_from_bytes
from email.header import decode_header, make_header

import pytest

from envoi.core.people import Person
from envoi.templates.catalogue import Catalogue
from tests.templates.kallithea import ANN, BEN, HEX, read

KINDS = list(Catalogue.shipped().kinds())
TYPE = "X-Kallithea-Notification-Type"
BY_A_USER = ["registration", "cs_comment", "pull_request", "pull_request_comment"]
BY_NOBODY = ["password_reset", "password_external", "password_changed"]
OURS = "kallithea-noreply@example.com"


def called(first: str, last: str) -> Person:
    return Person(id="user:1", login="ann", first_name=first, last_name=last)


def from_of(mail) -> tuple[str, str]:
    (address,) = mail["From"].addresses
    return address.display_name, address.addr_spec


@pytest.mark.parametrize("kind", BY_A_USER)
def test_mail_that_a_user_causes_has_his_name_and_our_address(site, kind):
    assert from_of(site().mail(kind, ANN)) == ("Ann Lee (no-reply)", OURS)


@pytest.mark.parametrize("kind", BY_NOBODY)
def test_mail_about_passwords_comes_from_the_application(site, kind):
    assert from_of(site().mail(kind, ANN)) == ("Kallithea", OURS)


@pytest.mark.parametrize("kind", BY_A_USER)
def test_without_an_actor_the_configured_sender_stands_as_it_is(site, kind):
    assert from_of(site().mail(kind, None)) == ("Kallithea", OURS)


@pytest.mark.parametrize(
    ("first", "last", "shown"),
    [
        ("Ann", "Lee", "Ann Lee"),
        ("Ann", "", "ann"),
        ("", "Lee", "ann"),
        ('Ann "Annie"', "Lee", 'Ann "Annie" Lee'),
        ("Ann", "Lee\\", "Ann Lee\\"),
        ('A\\"', 'B"\\', 'A\\" B"\\'),
        ("Ann (admin)", "Lee)", "Ann (admin) Lee)"),
        ("Lee,", "Ann; Dr.", "Lee, Ann; Dr."),
        ("Zoë", "Łęcka", "Zoë Łęcka"),
        ("山田", "太郎", "山田 太郎"),
    ],
)
def test_any_name_reads_back_as_it_is_and_never_as_an_address(site, first, last, shown):
    assert from_of(site().mail("pull_request", called(first, last))) == (
        f"{shown} (no-reply)",
        OURS,
    )


def test_a_long_name_is_cut_and_reads_back(site):
    octets = site().raw("pull_request", called("Anna " * 12, "Lee " * 30))

    # The older reader: the newer one of Python 3.11 shows the seam of encoded words as a space.
    written = message_from_bytes(octets)["From"]
    shown = str(make_header(decode_header(written)))
    assert shown == f"{'Anna ' * 12}{'Lee ' * 10}(no-reply) <{OURS}>"


@pytest.mark.parametrize(
    ("configured", "address"),
    [
        ("kallithea-noreply@example.com", "kallithea-noreply@example.com"),
        ("Kallithea <kallithea-noreply@example.com>", "kallithea-noreply@example.com"),
        ("kal@localhost", "kal@localhost"),
        ("Our Code <kal@localhost>", "kal@localhost"),
        ('"Quoted, Name" <kal@example.com>', "kal@example.com"),
        ("Übersicht <kal@example.com>", "kal@example.com"),
        ("", "kallithea@code.example.com"),
    ],
)
def test_the_configured_address_carries_the_actors_name(site, configured, address):
    mail = site(app_email_from=configured).mail("pull_request", ANN)

    assert from_of(mail) == ("Ann Lee (no-reply)", address)


def test_an_admin_who_acts_for_the_owner_is_the_one_in_from(site):
    mail = site().mail("pull_request", BEN, owner="ann", owner_name="Ann Lee")

    assert from_of(mail) == ("ben (no-reply)", OURS)
    assert mail["Subject"].endswith("by ann")


@pytest.mark.parametrize(
    ("full_name", "shown"), [("Eve Okafor", "Eve Okafor (no-reply)"), ("", "eve (no-reply)")]
)
def test_who_registers_is_named_before_the_directory_knows_him(site, full_name, shown):
    mail = site().mail("registration", None, by="eve", full_name=full_name)

    assert from_of(mail) == (shown, OURS)


@pytest.mark.parametrize("kind", KINDS)
def test_each_mail_names_its_type_once(site, kind):
    values = site().mail(kind).get_all(TYPE)

    assert values == [kind if kind in BY_A_USER else "message"]


def test_headers_stand_once_and_nothing_of_the_program_is_told(site):
    names = [name.lower() for name in site().mail("pull_request_comment")]

    assert sorted(set(names)) == sorted(names)
    assert {"date", "message-id", "mime-version", "auto-submitted"} <= set(names)
    assert not {"x-mailer", "user-agent", "received"} & set(names)


def ids(mail) -> list[str]:
    return (mail["References"] or "").split()


LINE = {"inline_path": None, "inline_line": None}


@pytest.mark.parametrize(
    ("kind", "facts", "expected"),
    [
        ("cs_comment", LINE, [f"<docs-rev-{HEX}@code.example.com>"]),
        (
            "cs_comment",
            {"inline_path": "a/b.py", "inline_line": "n12"},
            [
                f"<docs-rev-{HEX}@code.example.com>",
                f"<docs-rev-{HEX}-line-n12-a/b.py@code.example.com>",
            ],
        ),
        ("pull_request", {}, ["<docs-pr-7@code.example.com>"]),
        ("pull_request_comment", LINE, ["<docs-pr-7@code.example.com>"]),
        (
            "pull_request_comment",
            {"inline_path": "b.py", "inline_line": "o3"},
            ["<docs-pr-7@code.example.com>", "<docs-pr-7-line-o3-b.py@code.example.com>"],
        ),
        (
            "pull_request",
            {"repository": "group/my.docs"},
            ["<group/my.docs-pr-7@code.example.com>"],
        ),
        ("registration", {}, []),
        ("password_reset", {}, []),
        ("password_changed", {}, []),
        ("message", {}, []),
    ],
)
def test_mail_about_one_object_stands_in_one_thread(site, kind, facts, expected):
    mail = site().mail(kind, **facts)

    assert ids(mail) == expected
    assert (mail["In-Reply-To"] or "") == (expected[-1] if expected else "")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://code.example.com", "code.example.com"),
        ("https://code.example.com:5000/kallithea", "code.example.com"),
        ("http://Other.Example.COM/", "other.example.com"),
    ],
)
def test_the_host_of_the_ids_follows_canonical_url(site, url, host):
    mail = site(canonical_url=url).mail("pull_request")

    assert ids(mail) == [f"<docs-pr-7@{host}>"]
    assert mail["Message-ID"].endswith(f"@{host}>")


def test_the_same_line_of_two_files_is_two_conversations_in_one(site):
    one, two = (
        ids(site().mail("cs_comment", inline_path=path, inline_line="n3"))
        for path in ("a.py", "b.py")
    )

    assert one[0] == two[0]
    assert one[1] != two[1]


@pytest.mark.parametrize("kind", ["pull_request", "pull_request_comment"])
def test_a_new_iteration_stays_in_the_thread_of_the_first(site, kind):
    facts = {"inline_path": None} if kind == "pull_request_comment" else {}
    old = ids(site().mail(kind, number=7, **facts))
    new = ids(site().mail(kind, number=12, first_number=7, **facts))

    assert new == old


def test_an_invitation_and_a_comment_stand_in_one_thread(site):
    comment = site().mail("pull_request_comment", inline_path=None)

    assert ids(site().mail("pull_request")) == ids(comment)


def test_what_the_application_calls_its_object_wins(site):
    assert ids(site().mail("pull_request", subject="docs/pull/7")) == [
        "<docs/pull/7@code.example.com>"
    ]


def test_a_mention_and_a_comment_share_thread_and_subject(site):
    told, mentioned = (
        site().mail("cs_comment", is_mention=is_mention) for is_mention in (False, True)
    )

    assert ids(told) == ids(mentioned)
    assert told["Subject"] == mentioned["Subject"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_line_of_a_mail_is_ascii_and_short(site, kind):
    octets = site().raw(kind, called("Zoë", "Łęcka"), locale="de")

    assert octets.isascii()
    assert max(map(len, octets.split(b"\r\n"))) <= 998
    assert read(octets).defects == []
