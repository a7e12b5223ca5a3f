"""The JSON form of a ready-made mail holds all of it, and what does not fit is named."""

import json

import pytest

from envoi import Attachment, InputError, MailClass, ReadyMail, parse_mailbox
from envoi.forms import mail_form, read_mail

FULL = ReadyMail(
    to=(parse_mailbox('"Lee, Ann" <ann@example.org>'),),
    cc=(parse_mailbox("bob@example.org"),),
    bcc=(parse_mailbox("cyd@example.org"),),
    subject="Reset Geheim4711",
    text="Geheim4711",
    html="<p>Geheim4711</p>",
    headers=(("X-Build", "7"),),
    attachments=(Attachment(name="a.txt", media_type="text/plain", content=b"\0\xff"),),
    sender=parse_mailbox("Code <code@localhost>", is_local_allowed=True),
    reply_to=parse_mailbox("help@example.org"),
    references=("docs-pr-7@example.org", "docs-pr-7-line-n12@example.org"),
    secrets=("Geheim4711",),
    lifetime_s=3600,
    occurred_at_ms=1_772_366_400_000,
    key="reset-7",
    mail_class=MailClass.SECURITY,
    application="main",
)
FOR_NOBODY = ReadyMail(subject="Hi", text="Hello", to_fallback=True)


@pytest.mark.parametrize("mail", [FULL, FOR_NOBODY], ids=["full", "to fallback"])
def test_mail_read_from_its_form_is_the_same(mail):
    assert read_mail(json.loads(json.dumps(mail_form(mail)))) == mail


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("references", "a@b"),
        ("references", [1]),
        ("references", {"a@b": 1}),
        ("references", ["<a@b>"]),
        ("secrets", "Geheim4711"),
        ("secrets", [None]),
        ("secrets", [" "]),
        ("to_fallback", "yes"),
        ("to_fallback", 1),
        ("lifetime_s", "1h"),
        ("lifetime_s", True),
        ("lifetime_s", 1.5),
        ("lifetime_s", -1),
        ("occurred_at_ms", "noon"),
        ("occurred_at_ms", -1),
    ],
)
def test_what_does_not_fit_is_named_and_no_secret_with_it(field, value):
    form = {"to": "ann@example.org", "subject": "Hi", "text": "Hello", field: value}

    with pytest.raises(InputError, match=f"^{field}: expected") as caught:
        read_mail(form)

    assert "Geheim4711" not in str(caught.value)
