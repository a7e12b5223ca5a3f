"""Every byte of a mail, held against the standard library's parser."""

import re
from dataclasses import replace
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envoi.core import wire as wires
from envoi.core.kind import clean_line, clean_text
from envoi.core.message import Attachment, Block, Words
from envoi.core.mime import addresses
from envoi.core.people import Address, Mailbox
from envoi.core.wire import (
    PERSONAL_MARKER,
    _proved,
    date,
    needs_utf8,
    prepare,
    raw_masked,
    splice,
    spoken,
    to_wire,
    words_of,
)
from tests.core.samples import (
    HOSTILE_LINES,
    NOON_MS,
    OURS,
    REVIEWER,
    UID,
    blocks,
    delivery,
    message,
)

PLAIN_HEADERS = [
    "From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Auto-Submitted",
    "X-Auto-Response-Suppress", "X-Envoi-Notification-Type", "MIME-Version",
]  # fmt: skip
SINGLE = [*PLAIN_HEADERS, "Content-Type", "Content-Transfer-Encoding"]
POLICIES = [policy.default, policy.SMTP]

# Surrogates are cleaned at the edge; everything else that Unicode has may come.
LETTERS = st.characters(exclude_categories=["Cs"])
# What people and attackers write more often than chance does.
SPICE = st.sampled_from(
    ["\n.\n", "\n..\n", "\nFrom me\n", "From ", " \n", "\t\n", "=?utf-8?q?=0A?=", "=\n", "=20",
     "  ", "ä", "\U0001f4a9", "\r\n", "\r", "x" * 1_000, "é" * 500, "\ufeff", "\ufffe", "--",
     "=_" + UID, "\u2028", "e\u0301", "\u202e", ",", '"', "\\", "(x)", "<a@b>"]
)  # fmt: skip
TEXTS = st.lists(st.one_of(st.text(LETTERS, max_size=40), SPICE), max_size=12).map("".join)
LINES = TEXTS.map(clean_line).map(lambda line: line[:255].strip())


def wire(of=None, to=None, *, words=None, eight_bit=False, utf8=False):
    of = of or message()
    return to_wire(of, words or words_of(of), to or delivery(), eight_bit=eight_bit, utf8=utf8)


def parsed(octets: bytes, rules=policy.default) -> EmailMessage:
    return BytesParser(policy=rules).parsebytes(octets)


def content(part: EmailMessage) -> str:
    octets = part.get_payload(decode=True)
    assert isinstance(octets, bytes)
    return octets.decode("utf-8").replace("\r\n", "\n")


def file_name_of(part: EmailMessage) -> str | None:
    # get_filename() would strip angle brackets, which nobody but it takes for quotes.
    return part["Content-Disposition"].params.get("filename")


def texts(mail: EmailMessage) -> dict[str, str]:
    return {
        part.get_content_type(): content(part)
        for part in mail.walk()
        if not part.is_multipart() and part.get_content_disposition() is None
    }


def assert_lawful(octets: bytes) -> None:
    assert octets.endswith(b"\r\n")
    assert octets.count(b"\r\n") == octets.count(b"\r") == octets.count(b"\n")
    assert b"\0" not in octets
    assert max(map(len, octets.split(b"\r\n"))) <= 998


def test_a_text_mail_is_exactly_this():
    assert wire(message(blocks=blocks())).decode() == (
        "From: Envoi <noreply@example.org>\r\n"
        "To: Bob Ray <bob@example.net>\r\n"
        "Subject: [Review] docs PR #7\r\n"
        "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
        "Message-ID: <0123456789abcdef0123456789abcdef.1@example.org>\r\n"
        "In-Reply-To: <docs/pull/7@example.org>\r\n"
        "References: <docs/pull/7@example.org>\r\n"
        "Auto-Submitted: auto-generated\r\n"
        "X-Auto-Response-Suppress: All\r\n"
        "X-Envoi-Notification-Type: pull_request\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: 7bit\r\n"
        "\r\n"
        "Please review.\r\n"
        "-- \r\n"
        "You are a reviewer.\r\n"
    )


@settings(max_examples=300, deadline=None)
@given(text=TEXTS, html=TEXTS, below=TEXTS, eight_bit=st.booleans(), marked=st.booleans())
def test_a_reader_decodes_what_was_said(text, html, below, eight_bit, marked):
    html += f"<body>{PERSONAL_MARKER if marked else ''}</body>" if html else ""
    block = Block(text=below, html=below)
    whole = message(text=text, html=html, blocks={REVIEWER.stored: block})

    octets = wire(whole, eight_bit=eight_bit)

    assert_lawful(octets)
    said = spoken(words_of(whole), block)
    expected = {"text/plain": said.text} | ({"text/html": said.html} if html else {})
    for rules in POLICIES:
        mail = parsed(octets, rules)
        assert texts(mail) == expected
        assert not mail.defects


@settings(max_examples=300, deadline=None)
@given(text=TEXTS, html=TEXTS)
def test_both_abilities_of_a_relay_say_the_same(text, html):
    whole = message(text=text, html=html, blocks=blocks())
    seven, eight = wire(whole), wire(whole, eight_bit=True)

    assert seven.isascii()
    assert texts(parsed(seven)) == texts(parsed(eight))
    assert identity(parsed(seven)) == identity(parsed(eight))


def identity(mail: EmailMessage) -> list[tuple[str, str]]:
    return [(name, value) for name, value in mail.items() if name != "Content-Transfer-Encoding"]


@settings(max_examples=200, deadline=None)
@given(text=TEXTS, subject=LINES, name=LINES)
def test_the_same_mail_gives_the_same_octets(text, subject, name):
    whole, to = message(text=text, subject=subject, blocks=blocks()), delivery(name=name)

    assert wire(whole, to) == wire(whole, to)


@settings(max_examples=400, deadline=None)
@given(subject=LINES, value=LINES)
def test_header_text_reads_back_exactly(subject, value):
    whole = message(subject=subject, headers=(("X-Note", value),))

    octets = wire(whole)

    assert_lawful(octets)
    for rules in POLICIES:
        mail = parsed(octets, rules)
        assert str(mail["Subject"]) == subject
        assert str(mail["X-Note"]) == value
        assert [name for name in mail if name != "X-Note"] == [
            name for name in SINGLE if name != "X-Envoi-Notification-Type"
        ]


@settings(max_examples=400, deadline=None)
@given(name=LINES, sender_name=LINES, reply_name=LINES)
def test_names_read_back_with_their_addresses(name, sender_name, reply_name):
    whole = message(
        sender=Mailbox(OURS.address, sender_name),
        reply_to=Mailbox(Address("help", "example.org"), reply_name),
    )

    mail = parsed(wire(whole, delivery(name=name)))

    assert shown(mail["To"]) == [(seamless(name), "bob@example.net")]
    assert shown(mail["From"]) == [(seamless(sender_name), "noreply@example.org")]
    assert shown(mail["Reply-To"]) == [(seamless(reply_name), "help@example.org")]


def shown(header) -> list[tuple[str, str]]:
    return [(seamless(a.display_name), a.addr_spec) for a in header.addresses]


def seamless(name: str) -> str:
    # Python 3.11 shows the seam between two encoded words of a name as a space.
    return re.sub(r"\s", "", name)


@pytest.mark.parametrize("value", HOSTILE_LINES.values(), ids=HOSTILE_LINES)
def test_hostile_text_stays_text(value):
    line, text = clean_line(value), clean_text(value)
    whole = message(
        subject=line,
        text=text,
        html=text,
        sender=Mailbox(OURS.address, line),
        headers=(("X-Envoi-Notification-Type", line),),
        attachments=(Attachment(name=line, media_type="text/plain", content=text.encode()),),
        blocks=blocks(text, text),
    )

    octets = wire(whole, delivery(name=line))

    assert_lawful(octets)
    mail = parsed(octets)
    assert list(mail) == [*PLAIN_HEADERS, "Content-Type"]
    assert str(mail["Subject"]) == line
    assert [a.addr_spec for a in mail["To"].addresses] == ["bob@example.net"]
    assert [a.addr_spec for a in mail["From"].addresses] == ["noreply@example.org"]
    assert file_name_of(next(mail.iter_attachments())) == line
    assert (
        texts(mail)["text/plain"]
        == spoken(words_of(whole), blocks(text, text)[REVIEWER.stored]).text
    )


@pytest.mark.parametrize(
    "field", ["subject", "header", "filename", "thread", "host", "uid", "name"]
)
@pytest.mark.parametrize("tail", ["\r\nBcc: evil@evil.test", "\nX: y", "\r", "\0", "\x7f"])
def test_an_uncleaned_value_is_refused_not_written(field, tail):
    value = f"x{tail}"
    plain = message()
    whole = {
        "subject": replace(plain, subject=value),
        "header": replace(plain, headers=(("X-Note", value),)),
        "filename": replace(
            plain, attachments=(Attachment(name=value, media_type="a/b", content=b""),)
        ),
        "thread": replace(plain, thread=(value,)),
        "host": replace(plain, host=value),
        "uid": replace(plain, uid=value),
        "name": plain,
    }[field]
    to = delivery(name=f"x\x01{tail}") if field == "name" else delivery()

    with pytest.raises(ValueError, match=r"expected|bare"):
        wire(whole, to)


@pytest.mark.parametrize("name", ["Bcc", "X: y", "X-A\r\nBcc: e@evil.test\r\nX-B", "", "subject"])
def test_a_header_name_of_ours_or_of_nobody_is_refused(name):
    with pytest.raises(ValueError, match="Envoi writes it itself"):
        wire(message(headers=((name, "x"),)))


@pytest.mark.parametrize("media_type", ["text/html\r\nX: y", "text", "../../secret", "TEXT/plain"])
def test_a_media_type_that_is_none_is_refused(media_type):
    with pytest.raises(ValueError, match="media type"):
        wire(message(attachments=(Attachment(name="a", media_type=media_type, content=b""),)))


@settings(max_examples=150, deadline=None)
@given(
    name=LINES.filter(bool),
    octets=st.binary(max_size=400),
    html=st.sampled_from(["", "<p>ä</p>"]),
    eight_bit=st.booleans(),
)
def test_files_arrive_as_they_were(name, octets, html, eight_bit):
    files = (
        Attachment(name=name, media_type="application/pdf", content=octets),
        Attachment(name="", media_type="message/rfc822", content=b"Subject: x\n\nFrom me"),
    )
    sent = wire(message(html=html, attachments=files), eight_bit=eight_bit)

    assert_lawful(sent)
    for rules in POLICIES:
        first, second = parsed(sent, rules).iter_attachments()
        assert file_name_of(first) == name
        assert first.get_content_type() == "application/pdf"
        assert first.get_payload(decode=True) == octets
        assert second.get_content_type() == "application/octet-stream"
        assert file_name_of(second) is None
        assert second.get_payload(decode=True) == b"Subject: x\n\nFrom me"


def test_base64_is_76_columns_wide():
    file = Attachment(name="a", media_type="application/pdf", content=bytes(range(256)) * 9)

    body = wire(message(attachments=(file,))).split(b"base64\r\n\r\n")[1].split(b"\r\n\r\n")[0]

    lines = body.split(b"\r\n")
    assert {len(line) for line in lines[:-1]} == {76}


def test_a_boundary_that_the_text_quotes_is_not_used():
    quoted = wire(message(html="<p>x</p>")).decode()
    whole = message(text=quoted, html="<p>x</p>", blocks=blocks(quoted + f"=_{UID}_1_", "y"))

    mail = parsed(wire(whole))

    assert mail.get_boundary() == f"=_{UID}_2_a"
    assert len(list(mail.iter_parts())) == 2


@pytest.mark.parametrize(
    ("text", "eight_bit", "encoding"),
    [
        ("plain", True, "7bit"),
        ("plain", False, "7bit"),
        ("x" * 998, False, "7bit"),
        ("x" * 999, True, "quoted-printable"),
        ("schön", True, "8bit"),
        ("schön", False, "quoted-printable"),
        ("ö" * 499, True, "8bit"),
        ("ö" * 500, True, "quoted-printable"),
        ("From me", True, "quoted-printable"),
        ("x\nFrom me", True, "quoted-printable"),
        (" From me", True, "7bit"),
        (("x" * 70 + "\n") * 100 + "x" * 999, True, "quoted-printable"),
        (("x" * 70 + "\n") * 100 + "x" * 998, True, "7bit"),
        (("x" * 998 + "\n") * 3, True, "7bit"),
    ],
)
def test_the_plainest_encoding_that_carries_the_text_is_taken(text, eight_bit, encoding):
    mail = parsed(wire(message(text=text), eight_bit=eight_bit))

    assert str(mail["Content-Transfer-Encoding"]) == encoding
    assert content(mail) == text.rstrip("\n") + "\n"


def test_a_multipart_with_8bit_inside_says_so():
    file = Attachment(name="a", media_type="a/b", content=b"x")
    mail = parsed(wire(message(html="<p>ö</p>", attachments=(file,)), eight_bit=True))

    assert str(mail["Content-Transfer-Encoding"]) == "8bit"
    assert str(next(mail.iter_parts())["Content-Transfer-Encoding"]) == "8bit"


def test_words_and_block_of_one_part_share_an_encoding():
    octets = wire(message(text="plain", blocks=blocks(text="schön")))

    mail = parsed(octets)
    assert str(mail["Content-Transfer-Encoding"]) == "quoted-printable"
    assert content(mail) == "plain\n-- \nschön\n"


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        (f"<p>a</p>{PERSONAL_MARKER}<p>b</p></body>", "<p>a</p>\nBLOCK\n<p>b</p></body>\n"),
        ("<body><p>a</p></body></html>", "<body><p>a</p>\nBLOCK\n</body></html>\n"),
        ("<p>a</p>", "<p>a</p>\nBLOCK\n"),
        (f"{PERSONAL_MARKER}</body>{PERSONAL_MARKER}", f"BLOCK\n</body>{PERSONAL_MARKER}\n"),
    ],
    ids=["at the marker", "before the end of the body", "at the end", "at the first marker"],
)
def test_the_personal_block_stands_in_its_place(html, expected):
    mail = parsed(wire(message(html=html, blocks=blocks(html="BLOCK"))))

    assert texts(mail)["text/html"] == expected


def test_each_reason_has_its_own_block():
    whole = message(html="<p>a</p>", blocks={
        REVIEWER.stored: Block(text="reviewer", html="reviewer"),
        "admins": Block(text="admin", html="admin"),
    })  # fmt: skip
    prepared = prepare(whole, words_of(whole), eight_bit=True, utf8=True)

    assert texts(parsed(splice(prepared, delivery())))["text/html"] == "<p>a</p>\nreviewer\n"


def test_a_reason_without_block_gets_the_words_alone():
    whole = message(html="<p>a</p>", blocks={"admins": Block(text="admin", html="admin")})

    assert texts(parsed(wire(whole))) == {
        "text/plain": "Please review.\n",
        "text/html": "<p>a</p>\n",
    }


def test_a_block_without_words_for_a_part_leaves_the_part_alone():
    whole = message(html="<p>a</p>", blocks=blocks(text="", html=""))

    assert texts(parsed(wire(whole))) == {
        "text/plain": "Please review.\n",
        "text/html": "<p>a</p>\n",
    }


def test_html_without_blocks_arrives_untouched():
    html = f"<body>{PERSONAL_MARKER}</body>\n"

    assert texts(parsed(wire(message(html=html))))["text/html"] == html


def test_only_message_id_and_to_differ_between_recipients():
    whole = message()
    prepared = prepare(whole, words_of(whole), eight_bit=False, utf8=False)
    ann = delivery(ordinal=2, address=Address("ann", "example.net"), name="")

    first, second = (splice(prepared, to).decode().splitlines() for to in (delivery(), ann))

    differing = [pair for pair in zip(first, second, strict=True) if pair[0] != pair[1]]
    assert differing == [
        ("To: Bob Ray <bob@example.net>", "To: ann@example.net"),
        (f"Message-ID: <{UID}.1@example.org>", f"Message-ID: <{UID}.2@example.org>"),
    ]


def mailboxes(*logins: str) -> tuple[Mailbox, ...]:
    return tuple(Mailbox(Address(login, "example.org"), login.title()) for login in logins)


def test_a_ready_made_mail_shows_its_own_lists_to_everybody():
    whole = message(to=mailboxes("ann", "bob"), cc=mailboxes("cyd"))

    mail = parsed(wire(whole, delivery(name="Blind Copy")))

    assert str(mail["To"]) == "Ann <ann@example.org>, Bob <bob@example.org>"
    assert str(mail["Cc"]) == "Cyd <cyd@example.org>"
    assert list(mail)[:4] == ["From", "To", "Cc", "Subject"]
    assert b"bob@example.net" not in wire(whole)


def test_a_mail_with_copies_only_has_no_to():
    assert list(parsed(wire(message(cc=mailboxes("cyd")))))[:3] == ["From", "Cc", "Subject"]


def test_long_lists_are_folded_between_mailboxes():
    logins = [f"person{number}" for number in range(200)]
    octets = wire(message(to=mailboxes(*logins)))

    head = octets.split(b"\r\n\r\n")[0]
    assert max(map(len, head.split(b"\r\n"))) <= 76
    assert [a.username for a in parsed(octets)["To"].addresses] == logins


def test_a_conversation_names_its_last_id_and_all_ids():
    whole = message(thread=("root@example.org", "x" * 60 + "@example.org"))

    mail = parsed(wire(whole))

    assert mail["In-Reply-To"] == "<" + "x" * 60 + "@example.org>"
    assert mail["References"] == "<root@example.org> <" + "x" * 60 + "@example.org>"


def test_a_mail_without_conversation_names_none():
    assert "References" not in parsed(wire(message(thread=())))


JAPANESE = Mailbox(Address("用户", "example.jp"), "山田")


def test_utf8_addresses_stand_raw_where_the_relay_takes_them():
    octets = wire(message(), delivery(address=JAPANESE.address, name="山田"), utf8=True)

    assert "To: =?utf-8?b?5bGx55Sw?= <用户@example.jp>\r\n".encode() in octets


def test_utf8_addresses_are_shown_as_words_where_the_relay_does_not():
    octets = wire(message(to=(JAPANESE, *mailboxes("ann"))))

    to = parsed(octets)["To"]
    assert octets.isascii()
    assert [a.addr_spec for a in to.addresses] == ["ann@example.org"]
    assert to.groups[0].display_name == "山田 用户@example.jp"


@pytest.mark.parametrize(
    ("whole", "to", "expected"),
    [
        (message(), delivery(), False),
        (message(), delivery(address=JAPANESE.address), True),
        (message(sender=JAPANESE), delivery(), True),
        (message(reply_to=JAPANESE), delivery(), True),
        (message(to=(JAPANESE,)), delivery(), True),
        (message(cc=(JAPANESE,)), delivery(), True),
        (message(reply_to=OURS, to=(OURS,), cc=(OURS,)), delivery(name="山田"), False),
    ],
    ids=["nobody", "recipient", "from", "reply-to", "to", "cc", "a name alone does not"],
)
def test_a_utf8_address_anywhere_needs_smtputf8(whole, to, expected):
    assert needs_utf8(whole, to) is expected


def test_sealed_words_go_out_and_masked_ones_are_shown():
    whole = message(text="Link: ********\n", is_sealed=True, blocks=blocks())
    sealed = Words(subject="Reset", text="Link: https://example.org/r?t=42\n")

    assert b"t=42" in wire(whole, words=sealed)
    assert "t=42" not in raw_masked(whole, delivery())
    assert "Link: ********\n" in raw_masked(whole, delivery())


def test_the_raw_view_is_readable_text():
    shown_text = raw_masked(message(text="schön"), delivery(address=JAPANESE.address))

    assert "\r" not in shown_text
    assert "<用户@example.jp>" in shown_text
    assert "\n\nschön\n" in shown_text


@pytest.mark.parametrize(
    ("moment_ms", "expected"),
    [
        (0, "Thu, 01 Jan 1970 00:00:00 +0000"),
        (NOON_MS, "Tue, 14 Nov 2023 22:13:20 +0000"),
        (NOON_MS + 999, "Tue, 14 Nov 2023 22:13:20 +0000"),
        (1_709_164_800_000, "Thu, 29 Feb 2024 00:00:00 +0000"),
        (253_402_300_799_000, "Fri, 31 Dec 9999 23:59:59 +0000"),
    ],
)
def test_the_date_is_the_moment_in_utc(moment_ms, expected):
    assert date(moment_ms) == expected


def test_the_date_survives_the_parser():
    assert parsed(wire())["Date"].datetime.timestamp() * 1000 == NOON_MS


def test_an_empty_text_still_makes_a_lawful_mail():
    octets = wire(message(text=""))

    assert_lawful(octets)
    assert content(parsed(octets)) == ""


@pytest.mark.parametrize("line", ["A: b\nC: d\r\n", "A: b\r\nC: d\r\n", "A: b\r\r\n", "A: b"])
def test_a_line_that_became_two_is_seen_at_the_end_too(line):
    with pytest.raises(ValueError, match="nothing was written"):
        _proved(["X: y\r\n", line])


@given(
    name=st.from_regex(r"[A-Za-z0-9 -]{0,64}", fullmatch=True),
    address=st.from_regex(r"[a-z0-9_+]{1,60}@[a-z0-9]{1,30}\.test", fullmatch=True),
)
def test_a_plain_mailbox_is_written_as_every_other_is(name, address):
    local, _, domain = address.rpartition("@")
    own = delivery(address=Address(local, domain), name=name)

    written = wires._own_to(own, utf8=False).decode()

    assert written == addresses("To", (Mailbox(own.address, name),), utf8=False)
