"""Ready values for the core's tests: each test changes the one thing that it is about."""

from dataclasses import replace

from envoi.core.delivery import Delivery
from envoi.core.kind import MailClass
from envoi.core.message import Block, Message
from envoi.core.people import Address, Mailbox, Person
from envoi.core.routing import Because, Selector, SelectorType, Why

UID = "0123456789abcdef" * 2
NOON_MS = 1_700_000_000_000
REVIEWER = Because(Why.ROLE, "reviewers")
OURS = Mailbox(Address("noreply", "example.org"), "Envoi")

# Values that users of an application really typed, or that attacked a mailer (RELIABILITY B, C).
HOSTILE_LINES = {
    "encoded word with CRLF (B1)": "hi =?UTF-8?Q?=0D=0A?=Bcc: evil@evil.test",
    "emoji and newline (B2)": "A \U0001f4a9 subject\n",
    "CRLF (B3)": "hi\r\nBcc: evil@evil.test",
    "LF (B3)": "hi\nBcc: evil@evil.test",
    "CR (B3)": "hi\rBcc: evil@evil.test",
    "vertical tab, form feed, NEL, LS (B4)": "a\x0bb\x0cc\x85d\u2028e\u2029f",
    "NUL (B5)": "a\x00b",
    "lone surrogate (B6)": "a\ud800b",
    "encoded LF and To (B9)": "hi =?UTF-8?Q?=0A?=To: evil@evil.test",
    "newline in a name (B11)": "Evil\nBcc: v@x.test",
    "angle address in a name (B11)": '"q" <a@b>',
    "address as name (B12)": "security@bank.test",
    "comment as name (B12)": "Admin (admin@corp.test)",
    "right-to-left override (B13)": "invoice\u202egpj.exe",
    "5,000 characters (B14)": "x" * 5_000,
    "quotes, backslash, header (B17)": 'a"\r\nX-Evil: 1\r\n.txt\\',
    "dot stuffing (C1)": "\r\n.\r\nMAIL FROM:<evil@x.test>\r\nRCPT TO:<v@x.test>\r\nDATA\r\n",
    "smuggling (C2)": "\n.\n \n.\r\n \r.\r \r.\n \r.\r\n \r\n.\r\r\n \r\n\x00.\r\n",
    "terminal escape (F11)": "bob\n\x1b[2JINFO admin logged in",
    "template code (C10)": "{{7*7}}{% include '/etc/passwd' %}",
    "markup (C6)": "<script>alert(1)</script><img src=x onerror=alert(1)>",
}


def delivery(**changes) -> Delivery:
    whole = Delivery(
        address=Address("bob", "example.net"),
        name="Bob Ray",
        person="user:1",
        sender="reviewers",
        because=REVIEWER,
        mail_class=MailClass.NOTICE,
        due_at_ms=NOON_MS,
        created_at_ms=NOON_MS,
    )
    return replace(whole, **changes)


def message(**changes) -> Message:
    whole = Message(
        uid=UID,
        kind="pull_request",
        mail_class=MailClass.NOTICE,
        sender=OURS,
        subject="[Review] docs PR #7",
        text="Please review.\n",
        html="",
        headers=(("X-Envoi-Notification-Type", "pull_request"),),
        thread=("docs/pull/7@example.org",),
        host="example.org",
        locale="en",
        time_zone="UTC",
        date_ms=NOON_MS,
    )
    return replace(whole, **changes)


def blocks(text: str = "You are a reviewer.", html: str = "<p>You are a reviewer.</p>"):
    return {REVIEWER.stored: Block(text=text, html=html)}


def role(name: str) -> Selector:
    return Selector(SelectorType.ROLE, name)


def person(login: str, **changes) -> Person:
    whole = Person(id=f"user:{login}", login=login, address=Address(login, "example.org"))
    return replace(whole, **changes)
