"""What an administrator tells many: refused in an order that people know, and never a template."""

from dataclasses import replace

import pytest

from envoi.core.broadcast import (
    MAX_BODY_CHARS,
    Broadcast,
    Phase,
    Refusal,
    Report,
    broadcast_of,
    check_words,
    compose_broadcast,
    event_of,
    refusal,
    sender_of,
)
from envoi.core.kind import MailClass
from envoi.core.message import MAX_SUBJECT_CHARS, Block, Identity, Stamp
from envoi.core.people import Address, Mailbox, Person
from envoi.core.routing import Audience, Candidate, Selector, Why, pick_recipients

EVERYONE, STAFF = Selector.parse("everyone"), Selector.parse("group:staff")
TYPED = Broadcast(
    subject="Down on Sunday",
    body="The wiki moves.\n",
    recipients=(STAFF, Selector.parse("x@example.org")),
    tells_inactive=True,
    author="root",
)
US = Identity(sender=Mailbox(Address("wiki", "example.org")), prefix="[Wiki]", host="example.org")
STAMP = Stamp(uid="0" * 32, now_ms=1_800_000_000_000)


def composed(**changes):
    return compose_broadcast(replace(TYPED, **changes), US, STAMP)


@pytest.mark.parametrize(
    ("may_send", "sender", "changes", "expected"),
    [
        (False, "", {"recipients": (), "subject": "", "body": ""}, Refusal.PERMISSION),
        (True, "", {"recipients": (), "subject": "", "body": ""}, Refusal.RECIPIENTS),
        (True, " ", {"subject": "", "body": ""}, Refusal.SENDER),
        (True, "a@b.test", {"subject": " \t", "body": ""}, Refusal.SUBJECT),
        (True, "a@b.test", {"body": " \n\t"}, Refusal.BODY),
        (True, "a@b.test", {"body": "<p> </p>", "is_html": True}, Refusal.BODY),
        (True, "a@b.test", {}, None),
    ],
    ids=["permission", "recipients", "sender", "subject", "body", "html without words", "fine"],
)
def test_the_first_reason_in_the_known_order_is_the_answer(may_send, sender, changes, expected):
    assert refusal(replace(TYPED, **changes), sender, may_send=may_send) is expected


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"subject": "a\nBcc: x@y.test"}, "subject"),
        ({"subject": "a\u202eb"}, "subject"),
        ({"subject": "x" * (MAX_SUBJECT_CHARS + 1)}, "subject"),
        ({"body": "x" * (MAX_BODY_CHARS + 1)}, "text"),
    ],
    ids=["two lines", "direction control", "long subject", "long text"],
)
def test_words_that_no_mail_could_hold_are_refused_by_field(changes, where):
    assert [problem.where for problem in check_words(replace(TYPED, **changes))] == [where]


def test_words_that_fit_are_taken():
    longest = "x" * MAX_SUBJECT_CHARS
    assert check_words(replace(TYPED, subject=longest, body="y" * MAX_BODY_CHARS)) == ()


@pytest.mark.parametrize("changes", [{}, {"is_html": True, "tells_inactive": False}], ids=str)
def test_a_broadcast_can_be_read_from_its_event(changes):
    typed = replace(TYPED, **changes)

    assert broadcast_of(event_of(typed)) == typed


def test_the_words_are_nobodys_template():
    message = composed(body="Dear {{ name }}, {% if x %}100 %{% endif %}\r\n")

    assert message.text == "Dear {{ name }}, {% if x %}100 %{% endif %}\n"
    assert message.html == ""


def test_the_message_is_of_the_last_class_and_bears_the_prefix():
    message = composed()

    assert (message.subject, message.kind) == ("[Wiki] Down on Sunday", "broadcast")
    assert message.mail_class is MailClass.BROADCAST


def test_html_words_come_with_a_plain_part_and_become_a_document():
    message = composed(subject="<b>", body="<p>Hello <b>you</b></p>", is_html=True)

    assert message.text == "Hello you\n"
    assert "<title>&lt;b&gt;</title>" in message.html
    assert "<p>Hello <b>you</b></p>" in message.html


def test_a_whole_document_stays_as_it_was_typed():
    html = "<!doctype html><HTML><body><p>Hello</p></body></HTML>"

    assert composed(body=html, is_html=True).html == html


def test_the_personal_blocks_are_those_of_its_reasons():
    block = Block(text="because", html="<p>because</p>")

    assert compose_broadcast(TYPED, US, STAMP, {"everyone": block}).blocks == {"everyone": block}


@pytest.mark.parametrize("tells_inactive", [False, True])
@pytest.mark.parametrize("found_by", [{STAFF}, {EVERYONE}, {Selector.parse("user:ann"), STAFF}])
def test_an_inactive_person_is_told_only_when_that_is_asked_for(tells_inactive, found_by):
    """The brackets of facts 2: active, or inactive asked for; and named in whatever way."""
    person = Person(id="user:1", login="ann", address=Address("ann", "x.test"), is_active=False)
    audience = Audience(candidates=(Candidate(person=person, found_by=frozenset(found_by)),))
    typed = replace(TYPED, recipients=tuple(found_by), tells_inactive=tells_inactive)

    chosen, skipped = pick_recipients(audience, [sender_of(typed)])

    assert [one.person.login for one in chosen] == (["ann"] if tells_inactive else [])
    assert [one.because.why for one in skipped] == ([] if tells_inactive else [Why.INACTIVE])


def test_its_author_is_told_like_everybody_else():
    person = Person(id="user:1", login="root", address=Address("root", "x.test"))
    audience = Audience(
        candidates=(Candidate(person=person, found_by=frozenset({STAFF})),), actor=person
    )

    chosen, _ = pick_recipients(audience, [sender_of(TYPED)])

    assert [one.person.login for one in chosen] == ["root"]


# 2 + 3 + 4 + 5 + 6 + 7 + 8 + 9 + 10 + 11 mails and 12 + 13 + 14 + 15 + 16 people passed over.
FULL = Report(
    sent=2, refused=3, given_up=4, waiting=5, uncertain=6, held=7, paused=8, cancelled=9,
    suppressed=10, expired=11, inactive=12, no_address=13, unusable=14, folded=15, passed_over=16,
)  # fmt: skip


def test_a_report_adds_up():
    assert (FULL.mails, FULL.skipped, FULL.audience) == (65, 70, 135)
    assert (FULL.failed, FULL.left) == (7, 11)


@pytest.mark.parametrize(
    ("report", "phase", "is_over"),
    [
        (Report(is_finding=True), Phase.FINDING, False),
        (Report(is_finding=True, held=1), Phase.FINDING, False),
        (Report(waiting=1, sent=1), Phase.SENDING, False),
        (Report(uncertain=1), Phase.SENDING, False),
        (Report(paused=1), Phase.SENDING, False),  # resumed, and its rows have not followed yet
        (Report(held=1, sent=1), Phase.HELD, True),
        (Report(order="paused", paused=1), Phase.PAUSED, False),
        (Report(order="paused", is_finding=True), Phase.PAUSED, False),
        (Report(order="cancelled", cancelled=3), Phase.CANCELLED, True),
        (Report(order="cancelled", waiting=1), Phase.CANCELLED, False),
        (Report(sent=2, refused=1), Phase.DONE, True),
        (Report(), Phase.DONE, True),
    ],
)
def test_the_phase_follows_from_the_counts_and_the_order(report, phase, is_over):
    assert (report.phase, report.is_over) == (phase, is_over)
