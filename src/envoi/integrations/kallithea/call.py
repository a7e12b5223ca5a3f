"""This room reads a call of Kallithea's `send_email` as a ready-made mail.

Whatever the call holds, it becomes a mail or a line that says why not: the caller composed its
words from what users typed, and his own action must not fail on account of one of them.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import cast

from envoi.addresses import parse_mailbox
from envoi.core.kind import MailClass, clean_line
from envoi.core.message import Identity, Words, finished, from_mailbox, is_header_allowed
from envoi.core.people import Mailbox
from envoi.core.problem import Problem, brief
from envoi.core.ready import READY_KIND, ReadyMail
from envoi.errors import AddressError, InputError
from envoi.integrations.kallithea.homing import homed
from envoi.integrations.kallithea.tokens import tokens_in
from envoi.journal import Fact

TYPE_HEADER = "X-Kallithea-Notification-Type"
# Kallithea takes a reset token for 24 hours; a mail that comes later only confuses.
TOKEN_LIFETIME_S = 24 * 60 * 60
# Longer ids would not stand on one line of 998 characters.
MAX_ID_CHARS = 200

_ID = re.compile(r"<([^<>]+)>")
_NO_ID_LETTERS = re.compile(r"[^!-;=?-~]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """The arguments of one call, as they came.

    Args:
        recipients: Addresses; an empty list means that nobody could be named.
        subject: Without prefix.
        body: Plain part.
        html_body: HTML part; empty for text-only mail.
        headers: Further header lines.
        from_name: Name of who caused the mail; None: nobody did.
    """

    recipients: object
    subject: object
    body: object = ""
    html_body: object = ""
    headers: object = None
    from_name: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Something in a call that was left out, as the journal tells of it."""

    fact: Fact
    what: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A call that was understood.

    Args:
        mail: What is sent.
        doubts: What was left out of it.
    """

    mail: ReadyMail
    doubts: tuple[Doubt, ...] = ()


def read_call(call: Call, identity: Identity, application: str, now_ms: int) -> Read:
    """Return the mail that a call means.

    Args:
        call: The call.
        identity: Its prefix and sender are those of the mail.
        application: Which application speaks.
        now_ms: When the call came; the lifetime of its token counts from then, however long the
            mail lies in the spool.

    Raises:
        InputError: No list of recipients, or none among them that can be used.
    """
    headers, references, refused = _headers(call.headers)
    words = _words(call, identity.prefix)
    secrets = () if _is_typed(headers) else _tokens(words)
    to, left_out = _mailboxes(call.recipients, has_secrets=bool(secrets))
    led_home = homed(words, secrets, identity.base_url if secrets else "")
    words = led_home.words
    mail = ReadyMail(
        to=to,
        to_fallback=not to,
        subject=words.subject,
        text=words.text,
        html=words.html,
        headers=_typed(headers, identity.type_header),
        sender=_sender(call.from_name, identity),
        references=references,
        secrets=secrets,
        # Kallithea's mail without a type is what visitors ask for and wait for.
        mail_class=MailClass.SECURITY if secrets else MailClass.NOTICE,
        lifetime_s=TOKEN_LIFETIME_S if secrets else 0,
        occurred_at_ms=now_ms,
        application=application,
    )
    because = f"a link with a token leads to {identity.base_url}, the site of the settings"
    moved = [Doubt(fact=Fact.LINK_MOVED, what=site, because=because) for site in led_home.strangers]
    return Read(mail=mail, doubts=(*left_out, *refused, *moved))


def references_of(value: str) -> tuple[str, ...]:
    """Return the ids of a References header, with what cannot stand in an id escaped.

    The same text always gives the same id, so a repository with a name that no id can hold still
    has its threads.

    >>> references_of("<docs-pr-7@example.org> <my docs-pr-7@example.org>")
    ('docs-pr-7@example.org', 'my=20docs-pr-7@example.org')
    """
    return tuple(dict.fromkeys(_safe_id(one) for one in _ID.findall(value)))


def _safe_id(text: str) -> str:
    safe = _NO_ID_LETTERS.sub(
        lambda match: "".join(f"={octet:02X}" for octet in match[0].encode("utf-8", "replace")),
        text,
    )
    if len(safe) <= MAX_ID_CHARS:
        return safe
    # Two long ids that begin alike are still two conversations.
    return f"{safe[: MAX_ID_CHARS - 33]}+{sha256(safe.encode('ascii')).hexdigest()[:32]}"


def _mailboxes(
    recipients: object, *, has_secrets: bool
) -> tuple[tuple[Mailbox, ...], tuple[Doubt, ...]]:
    got: object = recipients
    if isinstance(recipients, str | bytes | Mapping) or not isinstance(recipients, Iterable):
        raise InputError(
            str(
                Problem(
                    where="recipients",
                    expected="a list of addresses, empty where nobody can be named",
                    got=brief(got),
                )
            )
        )
    known: dict[str, Mailbox] = {}
    doubts: list[Doubt] = []
    for text in cast("Iterable[object]", recipients):
        try:
            mailbox = _mailbox(text, has_secrets=has_secrets)
        except AddressError as err:
            what = brief(text)
            doubts.append(Doubt(fact=Fact.RECIPIENT_LEFT_OUT, what=what, because=str(err)))
        else:
            known.setdefault(str(mailbox.address).lower(), mailbox)
    if doubts and not known:
        # Somebody was meant, so the mail is not for those who answer when nobody could be named.
        raise InputError("; ".join(doubt.because for doubt in doubts))
    return tuple(known.values()), tuple(doubts)


def _mailbox(text: object, *, has_secrets: bool) -> Mailbox:
    # A reset goes to the address that the visitor typed, which his database found equal to a
    # registered one. Databases find `k` equal to the Kelvin sign and `a` to `ä`; mail does not.
    if has_secrets and not str(text).isascii():
        raise AddressError(
            f"{ascii(text)[:100]}: a mail with a token goes to addresses in ASCII only, others may "
            "look like somebody's and be somebody else's"
        )
    return parse_mailbox(text)


def _headers(
    headers: object,
) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...], tuple[Doubt, ...]]:
    """Return the extra lines, the conversation and what is refused; the last of a name counts."""
    table: Mapping[object, object] = {}
    if isinstance(headers, Mapping):
        table = cast("Mapping[object, object]", headers)
    lines: dict[str, tuple[str, str]] = {}
    doubts: list[Doubt] = []
    references: tuple[str, ...] = ()
    for key, value in table.items():
        name, text = str(key), clean_line(str(value)) if value is not None else ""
        if name.lower() == "references":
            references = references_of(text)
        elif not is_header_allowed(name):
            because = "Envoi writes it itself, or it is no name of a header"
            doubts.append(Doubt(fact=Fact.HEADER_IGNORED, what=ascii(name)[:100], because=because))
        elif text:
            lines[name.lower()] = (name, text)
    return tuple(lines.values()), references, tuple(doubts)


def _is_typed(headers: tuple[tuple[str, str], ...]) -> bool:
    return any(name.lower() == TYPE_HEADER.lower() for name, _ in headers)


def _typed(headers: tuple[tuple[str, str], ...], configured: str) -> tuple[tuple[str, str], ...]:
    """Return the lines with the type under Kallithea's name and under the configured one."""
    given = {name.lower(): value for name, value in headers}
    kind = given.get(TYPE_HEADER.lower(), READY_KIND)
    names = {name.lower(): name for name in (TYPE_HEADER, configured)}
    missing = [(name, kind) for lower, name in names.items() if lower not in given]
    return (*missing, *headers)


def _words(call: Call, prefix: str) -> Words:
    said = Words(
        subject=str(call.subject),
        text=str(call.body or ""),
        html=str(call.html_body or ""),
    )
    words = finished(said, prefix)
    # A mail that says nothing but its subject is none that a relay or a reader minds.
    has_words = bool(words.text.strip() or words.html.strip())
    return words if has_words else Words(subject=words.subject, text=f"{words.subject}\n")


def _tokens(words: Words) -> tuple[str, ...]:
    return tokens_in(f"{words.subject}\n{words.text}\n{words.html}")


def _sender(from_name: object, identity: Identity) -> Mailbox | None:
    if from_name is None:
        return None
    return from_mailbox(identity.sender, str(from_name))
