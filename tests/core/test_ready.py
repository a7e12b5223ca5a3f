"""Ready-made mail: refused with every reason, or sent as it is."""

from dataclasses import replace
from typing import Any

import pytest

from envoi.core.kind import MailClass
from envoi.core.message import Attachment, Identity, Stamp, Words
from envoi.core.people import Address, Mailbox
from envoi.core.ready import (
    MAX_CONTENT_BYTES,
    MAX_RECIPIENTS,
    ReadyMail,
    check_ready,
    cleaned_attachment,
    compose_ready,
    pick_ready,
)
from envoi.core.wire import to_wire, words_of
from tests.core.samples import HOSTILE_LINES, NOON_MS, OURS, UID, delivery


def box(login: str, domain: str = "example.org") -> Mailbox:
    return Mailbox(Address(login, domain))


MAIL = ReadyMail(to=(box("ann"),), subject="Hello", text="Hi\n")
IDENTITY = Identity(sender=OURS, reply_to=box("help"), prefix="[Demo]", host="example.org")
STAMP = Stamp(uid=UID, now_ms=NOON_MS)


def mail(**changes: Any) -> ReadyMail:
    return replace(MAIL, **changes)


def file(**changes: Any) -> Attachment:
    return replace(Attachment(name="a.txt", media_type="text/plain", content=b"x"), **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"to": (), "bcc": (box("ann"),)},
        {"text": "", "html": "<p>Hi</p>"},
        {"headers": (("X-Build", "7"), ("List-Id", "<a.example.org>"))},
        {"attachments": (file(),)},
        {"to": tuple(box(f"u{n}") for n in range(MAX_RECIPIENTS))},
        {"subject": "x" * 255},
        {"to": (), "to_fallback": True},
        {"references": ("docs-pr-7@example.org", "docs-pr-7-line-n12@example.org")},
        {"secrets": ("Geheim4711",)},
        {"lifetime_s": 3600},
    ],
)
def test_mail_that_fits_has_no_problems(changes):
    assert check_ready(mail(**changes)) == ()


BOMB = b"x" * MAX_CONTENT_BYTES


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"to": ()}, "to"),
        ({"to": tuple(box(f"u{n}") for n in range(MAX_RECIPIENTS + 1))}, "to"),
        ({"subject": ""}, "subject"),
        ({"subject": " "}, "subject"),
        ({"subject": "a\r\nBcc: e@evil.test"}, "subject"),
        ({"subject": "a\0"}, "subject"),
        ({"subject": "a\ud800"}, "subject"),
        ({"subject": "x" * 256}, "subject"),
        ({"text": ""}, "text"),
        ({"text": " \n"}, "text"),
        ({"text": "", "html": "<style>p{}</style><br>"}, "text"),
        ({"attachments": (file(content=BOMB),)}, "text"),
        ({"headers": (("Bcc", "e@evil.test"),)}, "headers"),
        ({"headers": (("X-A\r\nBcc: e@evil.test\r\nX-B", "1"),)}, "headers"),
        ({"headers": (("X-A", "1\r\nBcc: e@evil.test"),)}, "headers.'X-A'"),
        ({"attachments": (file(media_type="text/html\r\nX: y"),)}, "attachments.'a.txt'"),
        ({"attachments": (file(media_type="text"),)}, "attachments.'a.txt'"),
        ({"to_fallback": True}, "to"),
        ({"to": (), "to_fallback": True, "secrets": ("Geheim4711",)}, "to_fallback"),
        ({"to": (), "to_fallback": True, "mail_class": MailClass.SECURITY}, "to_fallback"),
        ({"references": ("<a@example.org>",)}, "references"),
        ({"references": ("a b@example.org",)}, "references"),
        ({"references": ("a@example.org\r\nBcc: e@evil.test",)}, "references"),
        ({"references": ("x" * 901,)}, "references"),
        ({"references": ("",)}, "references"),
        ({"secrets": ("",)}, "secrets"),
        ({"secrets": (" ",)}, "secrets"),
        ({"lifetime_s": -1}, "lifetime_s"),
        ({"lifetime_s": 10**12}, "lifetime_s"),
        ({"occurred_at_ms": 10**18}, "occurred_at_ms"),
    ],
)
def test_what_does_not_fit_is_named(changes, where):
    [problem] = check_ready(mail(**changes))

    assert problem.where == where
    assert str(problem).isprintable()
    assert len(str(problem)) < 500


def test_every_problem_is_told_at_once():
    wrong = mail(to=(), subject="", text="", headers=(("To", "a\nb"),))

    assert [p.where for p in check_ready(wrong)] == [
        "to", "subject", "text", "headers", "headers.'To'",
    ]  # fmt: skip


def test_a_ready_made_mail_becomes_a_message_without_prefix():
    written = mail(cc=(box("bob"),), bcc=(box("cyd"),), headers=(("X-Build", "7"),))

    message = compose_ready(written, IDENTITY, STAMP).message

    assert message.subject == "Hello"
    assert message.text == "Hi\n"
    assert (message.to, message.cc) == (written.to, written.cc)
    assert (message.sender, message.reply_to) == (OURS, box("help"))
    assert message.headers == (("X-Envoi-Notification-Type", "message"), ("X-Build", "7"))
    assert "cyd" not in repr(message)


def test_it_may_bring_its_own_sender():
    written = mail(sender=box("ceo"), reply_to=box("office"))

    message = compose_ready(written, IDENTITY, STAMP).message

    assert (message.sender, message.reply_to) == (box("ceo"), box("office"))


def test_html_alone_gets_a_text():
    message = compose_ready(mail(text="", html="<p>Tom &amp; Ann</p>"), IDENTITY, STAMP).message

    assert message.text == "Tom & Ann\n"


def test_it_stands_in_the_conversation_that_it_names():
    ids = ("docs-pr-7@example.org", "docs-pr-7-line-n12@example.org")

    message = compose_ready(mail(references=ids), IDENTITY, STAMP).message

    octets = to_wire(message, words_of(message), delivery(), eight_bit=False, utf8=False)
    lines = octets.replace(b"\r\n ", b" ").split(b"\r\n")
    assert b"In-Reply-To: <docs-pr-7-line-n12@example.org>" in lines
    assert b"References: <docs-pr-7@example.org> <docs-pr-7-line-n12@example.org>" in lines


@pytest.mark.parametrize(
    ("lifetime_s", "occurred_at_ms", "expected"),
    [(0, 7, 0), (60, 7, 60_007), (60, 0, NOON_MS + 60_000)],
    ids=["never", "after it was handed over", "after it is stored"],
)
def test_it_expires_when_its_lifetime_says_so(lifetime_s, occurred_at_ms, expected):
    written = mail(lifetime_s=lifetime_s, occurred_at_ms=occurred_at_ms)

    message = compose_ready(written, IDENTITY, STAMP).message

    assert message.expires_at_ms == expected


SECRET = mail(
    subject="Reset abc123",
    text="https://example.org/reset?t=abc123def\n\nabc123\n",
    html="<a href='https://example.org/reset?t=abc123def'>abc123</a>",
    secrets=("abc123", "abc123def"),
)


def test_secrets_of_a_mail_are_masked_in_everything_that_is_shown():
    composed = compose_ready(SECRET, IDENTITY, STAMP)

    assert composed.message.subject == "Reset ********"
    assert composed.message.text == "https://example.org/reset?t=********\n\n********\n"
    assert composed.message.html == "<a href='https://example.org/reset?t=********'>********</a>"
    assert "abc123" not in f"{composed.message!r} {SECRET!r} {SECRET.shown_subject}"


def test_secrets_of_a_mail_are_in_the_words_that_go_out():
    composed = compose_ready(SECRET, IDENTITY, STAMP)

    assert composed.message.is_sealed
    assert composed.sealed == Words(subject=SECRET.subject, text=SECRET.text, html=SECRET.html)


def test_a_secret_that_does_not_occur_seals_nothing():
    composed = compose_ready(mail(secrets=("Geheim4711",)), IDENTITY, STAMP)

    assert (composed.message.is_sealed, composed.sealed) == (False, None)


@pytest.mark.parametrize("value", HOSTILE_LINES.values(), ids=HOSTILE_LINES)
def test_whatever_is_not_refused_can_be_written(value):
    wanted = mail(subject=value, headers=(("X-A", value),), attachments=(file(name=value),))
    taken = wanted if not check_ready(wanted) else mail(attachments=(file(name=value),))

    message = compose_ready(replace(taken, text=value), IDENTITY, STAMP).message

    assert to_wire(message, words_of(message), delivery(), eight_bit=False, utf8=False)


@pytest.mark.parametrize("html", ["<p>a&#27;[2Jb</p>", "<p>a\0[2Jb</p>", "<p>a\x1b[2Jb\r</p>"])
def test_a_text_made_of_html_is_cleaned_too(html):
    assert compose_ready(mail(text="", html=html), IDENTITY, STAMP).message.text == "a[2Jb\n"


def test_an_address_named_twice_gets_one_copy():
    written = mail(to=(box("ann"), box("bob")), cc=(box("ann", "example.net"), box("ann")))

    recipients, skipped = pick_ready(written)

    assert [str(r.address) for r in recipients] == [
        "ann@example.org", "bob@example.org", "ann@example.net",
    ]  # fmt: skip
    assert [str(s.because) for s in skipped] == [
        "has the same address as ann@example.org, who is told"
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\a.txt", "a.txt"),
        ('a"\r\nX-Evil: 1\r\n.txt', "a  X-Evil  1 .txt"),
        ("x.pdf\0.exe", "x.pdf.exe"),
        ("invoice\u202egpj.exe", "invoicegpj.exe"),
        ("x" * 300 + ".pdf", "x" * 100 + ".pdf"),
        ("x" * 300, "x" * 100),
        ("", "attachment"),
        ("..", "attachment"),
        ("/", "attachment"),
        ("Übersicht.pdf", "Übersicht.pdf"),
    ],
)
def test_a_file_has_a_name_that_no_disk_minds(name, expected):
    assert cleaned_attachment(file(name=name)).name == expected
