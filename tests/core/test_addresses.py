"""Addresses as people and attackers type them (RELIABILITY A): refused, or one normal form."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoi import addresses
from envoi.addresses import parse_address, parse_mailbox
from envoi.core.people import Address, Mailbox, Person, outsider
from envoi.errors import AddressError

REFUSED = {
    "A1 encoded word": "=?x?q?a=40evil.test=3e=00?=foo@example.com",
    "A2 encoded word without @": "=?utf-8?q?victim=40evil.com?=",
    "A3 quoted with parameter": '"foo@psres.net> ORCPT=admin@admin.com"@test.com',
    "A4 quoted with space": '"xclow3n@gmail.com x"@internal.domain',
    "A5 comment in the domain": "user@good-corp.com(x)evil.com",
    "A6 bracket": "alice@example.org)bob@example.org",
    "A6 two addresses": "alice@example.org(<bob@example.org>",
    "A7 CRLF and RCPT": "a@x.test>\r\nRCPT TO:<evil@evil.test",
    "A8 CRLF and Bcc": "a@b.test\r\nBcc: c@d.test",
    "A8 newline at the end": "a@b.test\n",
    "A9 parameter": "a@b.test> NOTIFY=NEVER",
    "A10 NUL": "a\x00@x.test",
    "A11 65 characters": "a" * 65 + "@x.test",
    "A11 3,000 characters": "a" * 3_000 + "@x.test",
    "A11 255 octets": "a@" + ".".join(["b" * 62] * 4) + ".t",
    "A12 name with comma": "Doe, John <john@b.test>",
    "A13 semicolon": "a@b.test;c@d.test",
    "A14 comma": "victim@x.test,evil@y.test",
    "A15 list": ["victim@x.test", "evil@y.test"],
    "A15 dictionary": {"to": "victim@x.test"},
    "A21 zero width space": "a\u200b@x.test",
    "A21 override in the domain": "a@ex\u202eample.com",
    "A21 soft hyphen in the domain": "a@exa\u00admple.com",
    "A21 zero width space in the domain": "a@exa\u200bmple.com",
    "A21 variation selector in the domain": "a@exa\ufe0fmple.com",
    "A22 bare word": "root",
    "A22 localhost": "a@localhost",
    "A22 IPv4 literal": "a@[127.0.0.1]",
    "A22 IPv6 literal": "a@[IPv6:::1]",
    "A22 dotted quad": "a@127.0.0.1",
    "A22 numeric top level": "a@example.123",
    "A22 number": "a@2130706433",
    "A23 empty": "",
    "A23 space": " ",
    "A23 null": None,
    "A23 number": 5,
    "A23 bytes": b"a@x.test",
    "A23 @": "@",
    "A23 no domain": "to@",
    "A23 no local part": "@example.com",
    "A23 two @": "to@other.com@example.com",
    "A24 null sender": "<>",
    "A25 two dots": "a..b@x.test",
    "A25 dot first": ".a@x.test",
    "A25 dot last": "a.@x.test",
    "A26 empty group": "undisclosed-recipients:;",
    "A26 group": "g: a@b.test, c@d.test;",
    "A29 shell in the sender": ";sleep 66;@x",
    "A29 Exim expansion": "${run{id}}@x",
    "angle brackets": "<a@x.test>",
    "leading space": " a@x.test",
    "inner space": "a b@x.test",
    "tab": "a@x.test\t",
    "surrogate": "a\ud800@x.test",
    "surrogate in the domain": "a@\ud800x.test",
    "domain with underscore": "a@b_c.test",
    "domain with dash first": "a@-b.test",
    "domain with two dots": "a@b..test",
    "domain with a final dot": "a@b.test.",
    "label of 64": "a@" + "b" * 64 + ".test",
    "backslash": "a\\b@x.test",
    "escape": "a\x1b[2J@x.test",
}
TAKEN = {
    "plain": ("ann@example.org", "ann@example.org"),
    "A16 dotless i": ("m\u0131ke@example.org", "m\u0131ke@example.org"),
    "A17 Kelvin sign in the local part": ("\u212a@example.com", "K@example.com"),
    "A17 Kelvin sign in the domain": ("a@\u212a.com", "a@k.com"),
    "A18 Cyrillic o": ("admin@g\u043e\u043egle.com", "admin@xn--ggle-55da.com"),
    "A19 ideographic full stop": ("a@example\u3002com", "a@example.com"),
    "A20 Chinese": (
        "\u7528\u6237@\u4f8b\u5b50.\u5e7f\u544a",
        "\u7528\u6237@xn--fsqu00a.xn--4rr70v",
    ),
    "A28 upper case": ("A@X.TEST", "A@x.test"),
    "64 characters": ("a" * 64 + "@x.test", "a" * 64 + "@x.test"),
    "all atoms": ("!#$%&'*+-/?=^_`{|}~@x.test", None),
    "plus": ("ann+lists@example.org", "ann+lists@example.org"),
    "intranet": ("ann@mail.intern.local", "ann@mail.intern.local"),
    "digits": ("1@2.example", "1@2.example"),
    "decomposed": ("zoe\u0308@example.org", "zo\u00eb@example.org"),
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_what_is_not_one_address_is_refused_with_the_reason(text):
    with pytest.raises(AddressError) as refused:
        parse_address(text)

    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 700


@pytest.mark.parametrize("text", ["a@x.test b@x.test", "a@x.test (Ann)", "Ann a@x.test"])
def test_a_space_is_told_of_as_such(text):
    with pytest.raises(AddressError, match="it holds a space; several have commas between"):
        parse_address(text)


@pytest.mark.parametrize(("text", "expected"), TAKEN.values(), ids=TAKEN)
def test_an_address_is_taken_in_its_normal_form(text, expected):
    address = parse_address(text)

    assert str(address) == (expected or text)
    assert parse_address(str(address)) == address


@pytest.mark.parametrize("text", ["omero@localhost", "root@mailhost"])
def test_a_configured_sender_may_be_local(text):
    assert str(parse_address(text, is_local_allowed=True)) == text


@pytest.mark.parametrize("text", ["a@[127.0.0.1]", "a@127", "a@", "root"])
def test_local_does_not_mean_anything(text):
    with pytest.raises(AddressError):
        parse_address(text, is_local_allowed=True)


@given(st.text() | st.from_regex(r"[^@]{1,9}@[^@]{1,9}\.[a-z]{2,5}", fullmatch=True))
def test_whatever_is_typed_gives_an_address_or_a_refusal(text):
    with suppress(AddressError):
        shown = str(parse_address(text))

        assert shown.isprintable()
        assert shown.count("@") == 1
        assert not set(shown) & set(' <>()[],;:"\\\r\n\0')


@pytest.mark.parametrize(
    ("local", "domain"),
    [
        ("", "x.test"),
        ("a b", "x.test"),
        ("a@b", "x.test"),
        ("=?q?x?=", "x.test"),
        ("a\u2028", "x.test"),
        ("\ud800", "x.test"),
        ("a" * 65, "x.test"),
        ("\u00e9" * 33, "x.test"),
        ("a", ""),
        ("a", "X.test"),
        ("a", "x.test\n"),
        ("a\n", "x.test"),
        ("a", "b\u00fccher.test"),
        ("a", "127.0.0.1"),
        ("a", "1"),
        ("a", ".".join(["b" * 60] * 5)),
    ],
)
def test_an_address_that_would_not_survive_cannot_be_made(local, domain):
    with pytest.raises(ValueError, match=r"the part|the address"):
        Address(local, domain)


@pytest.mark.parametrize(("local", "expected"), [("ann", False), ("zo\u00eb", True)])
def test_only_a_local_part_beyond_ascii_needs_smtputf8(local, expected):
    assert Address(local, "example.org").needs_smtputf8 is expected


ANN = Address("ann", "example.org")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ann@example.org", Mailbox(ANN)),
        (" ann@example.org ", Mailbox(ANN)),
        ("<ann@example.org>", Mailbox(ANN)),
        ("Ann Lee <ann@example.org>", Mailbox(ANN, "Ann Lee")),
        ("  Ann   Lee<ann@example.org>  ", Mailbox(ANN, "Ann Lee")),
        ('"Lee, Ann" <ann@example.org>', Mailbox(ANN, "Lee, Ann")),
        ('"Ann \\"the\\" Lee" <ann@example.org>', Mailbox(ANN, 'Ann "the" Lee')),
        ('"a\\\\b" <ann@example.org>', Mailbox(ANN, "a\\b")),
        ("Zo\u00eb (no-reply) <ann@example.org>", Mailbox(ANN, "Zo\u00eb (no-reply)")),
        ("Ann\r\nBcc: x <ann@example.org>", Mailbox(ANN, "Ann Bcc: x")),
        ('"" <ann@example.org>', Mailbox(ANN)),
    ],
)
def test_a_mailbox_is_read(text, expected):
    assert parse_mailbox(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "Ann", "Ann <>", "Ann <ann>", "Doe, John <john@b.test>", "a; b <john@b.test>",
        "Ann <ann@example.org> x", "Ann <ann@example.org>, Bob <bob@example.org>",
        "<<ann@example.org>>", 'A "b" <ann@example.org>', '"Ann <ann@example.org>',
        "ann@example.org, bob@example.org", "ann@example.org\r\nBcc: c@d.test",
        "Ann < ann@example.org>", "g: ann@example.org;",
    ],
)  # fmt: skip
def test_any_other_text_is_no_mailbox(text):
    with pytest.raises(AddressError):
        parse_mailbox(text)


def test_a_mailbox_may_be_local_where_an_address_may():
    mailbox = parse_mailbox("OMERO <omero@localhost>", is_local_allowed=True)

    assert mailbox == Mailbox(Address("omero", "localhost"), "OMERO")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("Ann", "Lee"), "Ann Lee"),
        (("Ann", ""), "ann"),
        (("", "Lee"), "ann"),
        (("", ""), "ann"),
    ],
)
def test_a_full_name_needs_both_names(names, expected):
    assert (
        Person(id="1", login="ann", first_name=names[0], last_name=names[1]).full_name == expected
    )


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        (Person(id="1", login="ann", address=ANN), "ann"),
        (outsider(ANN), "ann@example.org"),
        (Person(id="1", unusable_address="a@"), "a@"),
        (Person(id="unknown:x"), "unknown:x"),
    ],
)
def test_lists_show_login_or_address(who, expected):
    assert who.label == expected


def test_an_outsider_is_his_address():
    assert outsider(ANN) == Person(id="address:ann@example.org", address=ANN)


@given(st.from_regex(addresses._COMMON, fullmatch=True))
def test_a_common_address_is_read_as_the_libraries_read_it(text):
    local, _, domain = text.rpartition("@")
    try:
        expected = Address(addresses._checked_local(local), addresses._ascii_domain(domain))
    except ValueError:
        expected = None

    read = None
    with suppress(AddressError):
        read = parse_address(text)
    assert read == expected
