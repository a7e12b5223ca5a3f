"""One message per sender and voice: whose words, under which name, in which conversation."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from envoi.core.delivery import State
from envoi.core.event import Event
from envoi.core.kind import MASK, Fact, FactType, Kind, MailClass
from envoi.core.links import with_base_url
from envoi.core.message import (
    RESERVED_HEADERS,
    Audible,
    Identity,
    Stamp,
    Words,
    address,
    compose,
    expiry,
    fallback_words,
    finished,
    from_mailbox,
    headers_of,
    is_header_allowed,
    speaker_name,
)
from envoi.core.people import Address, Mailbox, Person, outsider
from envoi.core.routing import Because, Recipient, Sender, Why
from tests.core.samples import NOON_MS, OURS, REVIEWER, UID, person, role

KIND = Kind(
    name="password_reset",
    facts={
        "name": Fact(type=FactType.LINE),
        "reset_url": Fact(type=FactType.OWN_LINK, is_secret=True),
        "help_url": Fact(type=FactType.LINK),
        "commits": Fact(type=FactType.ROWS),
    },
    mail_class=MailClass.SECURITY,
    lifetime_s=3_600,
    type_header="reset",
)
FACTS: dict[str, Any] = {
    "name": "Ann",
    "reset_url": "/reset?t=42",
    "help_url": "https://help.test/",
    "commits": [{"title": "a", "url": "/c/1", "raw_url": "https://x.test/", "count": 1}],
}
IDENTITY = Identity(
    sender=OURS,
    prefix="[Demo]",
    base_url="https://demo.example.org",
    host="demo.example.org",
    name="Demo",
)
RULE = Sender(
    name="reset", kind="password_reset", recipients=(role("user"),), headers=(("X-Team", "core"),)
)
STAMP = Stamp(uid=UID, now_ms=NOON_MS)


@dataclass
class Pen:
    """A renderer that writes down what it was asked and says its facts."""

    asked: list[tuple[str, str, str, Mapping[str, Any]]] = field(default_factory=list)

    def __call__(self, template, locale, time_zone, context):
        self.asked.append((template, locale, time_zone, context))
        facts = context["facts"]
        return Words(
            subject=f"Reset for {facts['name']}",
            text=f"{facts['reset_url']}\n{facts['commits']}",
            html=f"<a href='{facts['reset_url']}'>",
        )


def audible(*, actor=None, by="", kind=KIND, identity=IDENTITY, **changes) -> Audible:
    whole = Event(
        kind=kind.name, actor=by, facts=FACTS, subject="users/ann", occurred_at_ms=NOON_MS - 5
    )
    return Audible(event=replace(whole, **changes), kind=kind, actor=actor, identity=identity)


def composed(of=None, rule=RULE, pen=None):
    return compose(of or audible(), rule, ("de", "Europe/Berlin"), pen or Pen(), STAMP)


def test_a_message_with_secrets_is_written_twice():
    both = composed()

    assert both.sealed is not None
    assert both.message.is_sealed
    assert MASK in both.message.text
    assert MASK in both.message.html
    assert "t=42" not in repr(both.message)
    assert both.sealed.text.startswith("https://demo.example.org/reset?t=42\n")
    assert both.sealed.subject == both.message.subject == "[Demo] Reset for Ann"


def test_masked_words_are_written_from_masked_facts_alone():
    pen = Pen()

    composed(pen=pen)

    assert [context["reset_url"] for *_, context in pen.asked] == [
        MASK,
        "https://demo.example.org/reset?t=42",
    ]
    assert "t=42" not in repr(pen.asked[0])


@pytest.mark.parametrize("secret", ["", None])
def test_a_message_whose_secret_was_left_out_is_written_once(secret):
    pen = Pen()

    both = composed(audible(facts={**FACTS, "reset_url": secret}), pen=pen)

    assert both.sealed is None
    assert not both.message.is_sealed
    assert len(pen.asked) == 1


def test_the_voice_and_the_template_are_handed_on():
    pen = Pen()

    both = composed(rule=replace(RULE, template="short"), pen=pen)

    assert [asked[:3] for asked in pen.asked] == [("short", "de", "Europe/Berlin")] * 2
    assert (both.message.locale, both.message.time_zone) == ("de", "Europe/Berlin")


def test_a_message_takes_everything_else_from_where_it_stands():
    message = composed().message

    assert message.uid == UID
    assert message.date_ms == NOON_MS
    assert message.kind == "password_reset"
    assert message.application == "main"
    assert message.mail_class is MailClass.SECURITY
    assert message.sender == OURS
    assert message.reply_to is None
    assert message.host == "demo.example.org"
    assert message.thread == ("users/ann@demo.example.org",)
    assert message.headers == (("X-Envoi-Notification-Type", "reset"), ("X-Team", "core"))
    assert message.expires_at_ms == NOON_MS - 5 + 3_600_000


def test_security_mail_never_borrows_a_name():
    asker = person("ann", first_name="Ann", last_name="Lee")

    as_notice = replace(RULE, mail_class=MailClass.NOTICE)

    assert composed(audible(actor=asker)).message.sender == OURS
    assert composed(audible(actor=asker), as_notice).message.sender.name == "Ann Lee (no-reply)"


def test_a_sender_may_lower_the_class():
    assert composed(rule=replace(RULE, mail_class=MailClass.REPORT)).message.mail_class == "report"


def test_a_template_sees_plain_data_about_the_event():
    pen = Pen()
    actor = person("ann", first_name="Ann\n", last_name="Lee")

    composed(audible(actor=actor), pen=pen)

    context = pen.asked[0][3]
    assert context["actor"] == {"name": "Ann Lee", "login": "ann"}
    assert context["application"] == {"name": "Demo", "base_url": "https://demo.example.org"}
    assert context["kind"] == "password_reset"
    assert context["subject"] == "users/ann"
    assert context["occurred_at_ms"] == NOON_MS - 5
    assert context["name"] == context["facts"]["name"] == "Ann"


def test_an_actor_whom_nobody_knows_is_shown_as_he_was_named():
    pen = Pen()
    stranger = replace(
        audible(), event=replace(audible().event, actor="eve\n", people={"owner": ("a\nb",)})
    )

    composed(stranger, pen=pen)

    context = pen.asked[0][3]
    assert context["actor"] == {"name": "eve", "login": "eve"}
    assert context["people"] == {"owner": ["a b"]}


def test_links_that_are_paths_become_absolute_in_rows_too():
    assert with_base_url(KIND, {**FACTS, "extra": "/x"}, "https://demo.example.org") == {
        "name": "Ann",
        "reset_url": "https://demo.example.org/reset?t=42",
        "help_url": "https://help.test/",
        "commits": [
            {
                "title": "a",
                "url": "https://demo.example.org/c/1",
                "raw_url": "https://x.test/",
                "count": 1,
            }
        ],
        "extra": "/x",
    }


@pytest.mark.parametrize(
    ("base_url", "path", "expected"),
    [
        ("https://h.test", "/reset", "https://h.test/reset"),
        ("https://h.test/wiki", "/reset", "https://h.test/wiki/reset"),
        ("https://h.test/wiki", "/wiki/reset", "https://h.test/wiki/reset"),
        ("https://h.test/a/b", "/a/b/reset", "https://h.test/a/b/reset"),
        ("https://h.test/wiki", "/wikis/reset", "https://h.test/wiki/wikis/reset"),
        ("https://h.test/wiki", "", ""),
        ("https://h.test/wiki", MASK, MASK),
        ("", "/reset", "/reset"),
    ],
    ids=["root", "folder", "folder twice", "two folders", "alike", "none", "mask", "no base"],
)
def test_a_link_of_our_own_names_the_applications_folder_once(base_url, path, expected):
    assert with_base_url(KIND, {"reset_url": path}, base_url) == {"reset_url": expected}


@pytest.mark.parametrize(
    ("subject", "prefix", "expected"),
    [
        ("Hi", "", "Hi"),
        ("Hi", "[Demo]", "[Demo] Hi"),
        ("Hi", "  [Demo]\n ", "[Demo] Hi"),
        ("Hi", "  ", "Hi"),
        (" Hi\r\nBcc: x \n", "", "Hi Bcc: x"),
        ("", "[Demo]", "[Demo] (no subject)"),
        ("x" * 5_000, "", "x" * 254 + "…"),
        ("x" * 253 + " y z", "", "x" * 253 + "…"),
        ("x" * 255, "", "x" * 255),
    ],
)
def test_a_subject_is_one_bounded_line_with_its_prefix(subject, prefix, expected):
    assert finished(Words(subject=subject, text="t"), prefix).subject == expected


def test_long_words_are_kept_whole():
    words = finished(Words(subject="s", text="a\r\n" * 60_000, html="<p>b</p>" * 60_000), "")

    assert words.text == "a\n" * 60_000
    assert words.html.endswith("</p>")
    assert len(words.html) == 480_000


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Ann Lee", "Ann Lee (no-reply)"),
        ('Ann "the" Lee', 'Ann "the" Lee (no-reply)'),
        ("Ann (admin) Lee", "Ann (admin) Lee (no-reply)"),
        ("Zoë Łęcka", "Zoë Łęcka (no-reply)"),
        ("security@bank.test Team", "security bank.test Team (no-reply)"),
        ("Admin <admin@corp.test> X", "Admin admin corp.test X (no-reply)"),
        ("Evil\nBcc: v@x.test X", "Evil Bcc: v x.test X (no-reply)"),
        ("x" * 300 + " y", "x" * 100 + " (no-reply)"),
        ("x" * 99 + " y", "x" * 99 + " (no-reply)"),
        ("@ <>", "Envoi"),
        ("", "Envoi"),
    ],
)
def test_from_combines_the_actors_name_with_our_address(name, expected):
    assert from_mailbox(OURS, name) == Mailbox(OURS.address, expected)


NEWCOMERS = replace(
    KIND,
    facts={"full_name": Fact(type=FactType.LINE, is_required=False)},
    mail_class=MailClass.NOTICE,
    actor_name_in="full_name",
)


@pytest.mark.parametrize(
    ("actor", "named", "full_name", "expected"),
    [
        (person("ann", first_name="Ann", last_name="Lee"), "ann", "", "Ann Lee"),
        (person("ann", first_name="Ann"), "ann", "", "ann"),
        (person("ann", last_name="Lee"), "ann", "Somebody Else", "ann"),
        (None, "eve", "Eve Okafor", "Eve Okafor"),
        (None, "eve", "", "eve"),
        (None, "eve@x.test", "Eve Okafor", "Eve Okafor"),
        (None, "eve@x.test", "", ""),
        (outsider(Address("eve", "x.test")), "eve@x.test", "", ""),
        (None, "", "Eve Okafor", ""),
    ],
    ids=[
        "both names", "first only", "last only", "newcomer", "unknown login", "address and name",
        "unknown address", "outsider", "nobody",
    ],
)  # fmt: skip
def test_the_speaker_is_who_did_it_as_far_as_anybody_knows(actor, named, full_name, expected):
    of = audible(actor=actor, kind=NEWCOMERS, by=named, facts={"full_name": full_name})

    assert speaker_name(of) == expected


def test_a_kind_may_keep_the_applications_own_name():
    asker = person("ann", first_name="Ann", last_name="Lee")
    ours = replace(KIND, mail_class=MailClass.NOTICE, from_actor=False)

    assert composed(audible(actor=asker, kind=ours)).message.sender == OURS


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ((), (("X-Envoi-Notification-Type", "note"),)),
        ((("X-A", "1"),), (("X-Envoi-Notification-Type", "note"), ("X-A", "1"))),
        ((("x-envoi-notification-TYPE", "mine"),), (("x-envoi-notification-TYPE", "mine"),)),
    ],
)
def test_a_header_named_by_the_sender_replaces_ours(extra, expected):
    assert headers_of(IDENTITY, "note", iter(extra)) == expected


@pytest.mark.parametrize(
    ("kind", "said"),
    [("pull_request", "pull_request"), ("password_reset", "message"), ("message", "message")],
)
def test_where_readers_know_a_closed_list_other_kinds_are_messages(kind, said):
    closed = replace(IDENTITY, type_values=frozenset({"pull_request", "registration"}))

    assert headers_of(closed, kind, ()) == (("X-Envoi-Notification-Type", said),)


@pytest.mark.parametrize(
    ("lifetime_s", "occurred_at_ms", "expected"),
    [(0, 7, 0), (60, 7, 60_007), (60, 0, NOON_MS + 60_000)],
    ids=["never", "after it happened", "after it was handed over"],
)
def test_mail_is_worthless_after_its_lifetime(lifetime_s, occurred_at_ms, expected):
    kind = replace(KIND, lifetime_s=lifetime_s)

    assert expiry(Event(kind=kind.name, occurred_at_ms=occurred_at_ms), kind, NOON_MS) == expected


def recipient(who: Person) -> Recipient:
    where = who.address or Address("nobody", "example.org")
    return Recipient(person=who, address=where, sender="reset", because=REVIEWER)


def test_a_delivery_per_recipient_is_numbered_and_due_at_once():
    people = [person("ann", first_name="Ann", last_name="Lee"), outsider(OURS.address)]

    first, second = address(composed().message, map(recipient, people), NOON_MS)

    assert (first.ordinal, second.ordinal) == (1, 2)
    assert (first.name, second.name) == ("Ann Lee", "")
    assert (first.person, str(first.address)) == ("user:ann", "ann@example.org")
    assert (first.sender, first.because) == ("reset", REVIEWER)
    assert first.state is State.QUEUED
    assert first.due_at_ms == first.created_at_ms == NOON_MS
    assert first.mail_class is MailClass.SECURITY
    assert first.expires_at_ms == composed().message.expires_at_ms


def test_deliveries_may_be_held_from_the_start():
    [held] = address(composed().message, [recipient(person("ann"))], NOON_MS, state=State.HELD)

    assert held.state is State.HELD


def test_a_recipient_cannot_advertise_in_his_name():
    [delivery] = address(
        composed().message,
        [recipient(person("ann", first_name="You won\n" * 50, last_name="!"))],
        NOON_MS,
    )

    assert len(delivery.name) <= 100
    assert delivery.name.startswith("You won You won")


def test_the_fallback_lists_the_facts():
    kind = replace(KIND, description="A password reset was asked for")

    words = fallback_words(kind, {"name": "Ann", "reset_url": MASK, "empty": ""})

    assert words == Words(
        subject="A password reset was asked for",
        text=f"A password reset was asked for\n\nname: Ann\nreset_url: {MASK}\n",
    )
    assert fallback_words(KIND, {}).subject == "password reset"


@pytest.mark.parametrize("name", ["X-Build", "List-Id", "Precedence", "Importance", "x"])
def test_a_sender_may_set_other_headers(name):
    assert is_header_allowed(name)


@pytest.mark.parametrize(
    "name",
    [
        *sorted(RESERVED_HEADERS), "BCC", "Return-Path", "Content-Type", "DKIM-Signature",
        "X-A\r\nBcc: e@evil.test\r\nX-B", "X A", "X:A", "", "Ünicode", "X-A\n", "x" * 77, "\x7f",
    ],
)  # fmt: skip
def test_what_envoi_writes_itself_or_is_no_name_is_refused(name):
    assert not is_header_allowed(name)


def test_a_reason_without_detail_is_a_value():
    assert Because(Why.ADMINS).stored == "admins"
