"""This room reads and writes the JSON form of an event and of a ready-made mail.

The command line, the spool and every other door that is not Python use these two forms. Input is
refused with every problem at once; nothing is repaired.
"""

import base64
import mimetypes
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from envoi.addresses import parse_mailbox
from envoi.core.event import Event
from envoi.core.kind import MailClass, Plain
from envoi.core.message import Attachment
from envoi.core.people import Mailbox
from envoi.core.problem import Problem, brief
from envoi.core.ready import ReadyMail, check_ready
from envoi.errors import AddressError, EventError, InputError

EVENT_FIELDS = ("kind", "actor", "subject", "people", "facts", "key", "occurred_at_ms",
                "application")  # fmt: skip
MAIL_FIELDS = ("to", "cc", "bcc", "subject", "text", "html", "headers", "attachments", "from",
               "reply_to", "references", "secrets", "to_fallback", "lifetime_s",
               "occurred_at_ms", "key", "class", "application")  # fmt: skip


def read_event(form: object, kind: str = "") -> Event:
    """Return the event that the JSON object describes; its facts are checked later, by kind.

    Args:
        form: `{"kind", "actor", "subject", "people", "facts", "key", ...}`; only `kind` must be
            there, and not even that when `kind` is given.
        kind: The kind when it was named beside the form, as on the command line.

    Raises:
        EventError: Lists every field that does not fit.
    """
    if not isinstance(form, Mapping):
        raise EventError(f"event: expected a JSON object, got {type(form).__name__}")
    table = {**cast("Mapping[str, object]", form)}
    if kind:
        table.setdefault("kind", kind)
    problems = [*_unknown_fields(table, EVENT_FIELDS), *_misfits(table, kind)]
    if problems:
        raise EventError("\n".join(str(problem) for problem in problems))
    people = cast("Mapping[str, Iterable[str]]", table.get("people") or {})
    return Event(
        kind=str(table["kind"]),
        actor=str(table.get("actor") or ""),
        subject=str(table.get("subject") or ""),
        people={
            role: (names,) if isinstance(names, str) else tuple(names)
            for role, names in people.items()
        },
        facts=cast("Mapping[str, Plain]", table.get("facts") or {}),
        key=str(table.get("key") or ""),
        occurred_at_ms=cast("int", table.get("occurred_at_ms") or 0),
        application=str(table.get("application") or "main"),
    )


def event_form(event: Event) -> dict[str, Plain]:
    """Return the JSON object that `read_event` reads; secrets stand in it in clear."""
    return {
        "kind": event.kind,
        "actor": event.actor,
        "subject": event.subject,
        "people": {role: list(names) for role, names in event.people.items()},
        "facts": dict(event.facts),
        "key": event.key,
        "occurred_at_ms": event.occurred_at_ms,
        "application": event.application,
    }


def read_mail(form: object) -> ReadyMail:
    """Return the ready-made mail that the JSON object describes, checked.

    Args:
        form: `to`, `cc`, `bcc` hold one mailbox or a list of them; `headers` is an object;
            `attachments` a list of `{"name", "media_type", "content"}` with base64 content.

    Raises:
        InputError: Lists every field that does not fit.
    """
    if not isinstance(form, Mapping):
        raise InputError(f"mail: expected a JSON object, got {type(form).__name__}")
    table = cast("Mapping[str, object]", form)
    problems = [*_unknown_fields(table, MAIL_FIELDS), *_mail_misfits(table)]
    if problems:
        raise InputError("\n".join(str(problem) for problem in problems))
    boxes = {field: _mailboxes(table, field, problems) for field in ("to", "cc", "bcc")}
    single = {field: _mailbox(table, field, problems) for field in ("from", "reply_to")}
    mail = ReadyMail(
        **boxes,
        sender=single["from"],
        reply_to=single["reply_to"],
        subject=str(table.get("subject") or ""),
        text=str(table.get("text") or ""),
        html=str(table.get("html") or ""),
        headers=tuple(cast("Mapping[str, str]", table.get("headers") or {}).items()),
        attachments=tuple(_attachments(table, problems)),
        references=tuple(cast("list[str]", table.get("references") or ())),
        secrets=tuple(cast("list[str]", table.get("secrets") or ())),
        to_fallback=bool(table.get("to_fallback")),
        lifetime_s=cast("int", table.get("lifetime_s") or 0),
        occurred_at_ms=cast("int", table.get("occurred_at_ms") or 0),
        key=str(table.get("key") or ""),
        mail_class=MailClass(str(table.get("class") or MailClass.NOTICE)),
        application=str(table.get("application") or "main"),
    )
    return checked_mail(mail, problems)


def mail_form(mail: ReadyMail) -> dict[str, Plain]:
    """Return the JSON object that `read_mail` reads."""
    return {
        "to": [_shown(mailbox) for mailbox in mail.to],
        "cc": [_shown(mailbox) for mailbox in mail.cc],
        "bcc": [_shown(mailbox) for mailbox in mail.bcc],
        "subject": mail.subject,
        "text": mail.text,
        "html": mail.html,
        "headers": dict(mail.headers),
        "attachments": [
            {
                "name": file.name,
                "media_type": file.media_type,
                "content": base64.b64encode(file.content).decode("ascii"),
            }
            for file in mail.attachments
        ],
        "from": _shown(mail.sender) if mail.sender else "",
        "reply_to": _shown(mail.reply_to) if mail.reply_to else "",
        "references": list(mail.references),
        "secrets": list(mail.secrets),
        "to_fallback": mail.to_fallback,
        "lifetime_s": mail.lifetime_s,
        "occurred_at_ms": mail.occurred_at_ms,
        "key": mail.key,
        "class": mail.mail_class,
        "application": mail.application,
    }


def checked_mail(mail: ReadyMail, problems: Sequence[Problem] = ()) -> ReadyMail:
    """Return the mail, or refuse it with every problem.

    Raises:
        InputError: Lists the given problems and those of `check_ready`.
    """
    told = {problem.where for problem in problems}
    # A recipient that could not be read leaves the list empty; one line about it is enough.
    found = [*problems, *(p for p in check_ready(mail) if p.where not in told)]
    if found:
        raise InputError("\n".join(str(problem) for problem in found))
    return mail


def media_type_of(name: str) -> str:
    """Return the media type that a file's name suggests.

    >>> media_type_of("report.pdf"), media_type_of("core")
    ('application/pdf', 'application/octet-stream')
    """
    # The library takes URLs too, and believes what a `data:` one says about itself.
    guessed, encoding = mimetypes.guess_type(f"./{name}")
    return guessed if guessed and not encoding else "application/octet-stream"


def _unknown_fields(table: Mapping[str, object], known: tuple[str, ...]) -> list[Problem]:
    return [
        Problem(where=str(name), expected=f"one of {', '.join(known)}", got="an unknown field")
        for name in table
        if name not in known
    ]


def _misfits(table: Mapping[str, object], kind: str) -> list[Problem]:
    problems: list[Problem] = []
    for field in ("kind", "actor", "subject", "key", "application"):
        problems += _unless(table, field, str, "a text")
    for field in ("people", "facts"):
        problems += _unless(table, field, Mapping, "an object")
    problems += _unless(table, "occurred_at_ms", int, "milliseconds since 1970")
    for role, names in _table(table.get("people")).items():
        if not isinstance(names, str) and not _is_texts(names):
            expected = "a login, an address or a list of them"
            problems.append(Problem(where=f"people.{role}", expected=expected, got=brief(names)))
    if not table.get("kind"):
        problems.append(Problem(where="kind", expected="the name of a kind", got="nothing"))
    elif kind and table["kind"] != kind:
        problems.append(Problem(where="kind", expected=kind, got=brief(table["kind"])))
    return problems


def _mail_misfits(table: Mapping[str, object]) -> list[Problem]:
    problems: list[Problem] = []
    for field in ("subject", "text", "html", "from", "reply_to", "key", "application", "class"):
        problems += _unless(table, field, str, "a text")
    for field in ("to", "cc", "bcc"):
        problems += _unless(table, field, (str, list), "a mailbox or a list of them")
    problems += _unless(table, "headers", Mapping, "an object")
    problems += _unless(table, "attachments", list, "a list")
    problems += _unless(table, "lifetime_s", int, "whole seconds")
    problems += _unless(table, "occurred_at_ms", int, "milliseconds since 1970")
    for field in ("references", "secrets"):
        if not _is_texts(table.get(field) or []):
            # A secret must not stand in the line that refuses it.
            got = type(table[field]).__name__
            problems.append(Problem(where=field, expected="a list of texts", got=got))
    if not isinstance(table.get("to_fallback", False), bool):
        got = brief(table["to_fallback"])
        problems.append(Problem(where="to_fallback", expected="true or false", got=got))
    for name, value in _table(table.get("headers")).items():
        if not isinstance(value, str):
            where = f"headers.{name!a}"
            problems.append(Problem(where=where, expected="a text", got=brief(value)))
    if isinstance(table.get("class"), str) and table["class"] not in ("", *MailClass):
        got = brief(table["class"])
        problems.append(Problem(where="class", expected=", ".join(MailClass), got=got))
    return problems


def _unless(
    table: Mapping[str, object], field: str, wanted: type | tuple[type, ...], expected: str
) -> list[Problem]:
    value = table.get(field)
    if value is None or (isinstance(value, wanted) and not isinstance(value, bool)):
        return []
    return [Problem(where=field, expected=expected, got=brief(value))]


def _table(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def _list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _is_texts(value: object) -> bool:
    texts = _list(value)
    return texts == value and all(isinstance(text, str) for text in texts)


def _mailboxes(
    table: Mapping[str, object], field: str, problems: list[Problem]
) -> tuple[Mailbox, ...]:
    value = table.get(field)
    texts = [value] if isinstance(value, str) else _list(value)
    found = [_read_mailbox(text, field, problems) for text in texts]
    return tuple(mailbox for mailbox in found if mailbox is not None)


def _mailbox(table: Mapping[str, object], field: str, problems: list[Problem]) -> Mailbox | None:
    text = table.get(field)
    return _read_mailbox(text, field, problems, is_local_allowed=True) if text else None


def _read_mailbox(
    text: object, field: str, problems: list[Problem], *, is_local_allowed: bool = False
) -> Mailbox | None:
    try:
        return parse_mailbox(text, is_local_allowed=is_local_allowed)
    except AddressError as err:
        problems.append(
            Problem(where=field, expected="name@host or Name <name@host>", got=str(err))
        )
        return None


def _attachments(table: Mapping[str, object], problems: list[Problem]) -> Iterable[Attachment]:
    for position, entry in enumerate(_list(table.get("attachments"))):
        where = f"attachments.{position}"
        file = _table(entry)
        if not isinstance(file.get("name"), str) or not isinstance(file.get("content"), str):
            expected = "an object with name and base64 content"
            problems.append(Problem(where=where, expected=expected, got=brief(entry)))
            continue
        try:
            content = base64.b64decode(str(file["content"]), validate=True)
        except ValueError as err:  # binascii's own, and one for letters beyond ASCII
            problems.append(Problem(where=f"{where}.content", expected="base64", got=str(err)))
            continue
        name = str(file["name"])
        media_type = str(file.get("media_type") or media_type_of(name))
        yield Attachment(name=name, media_type=media_type.lower(), content=content)


def _shown(mailbox: Mailbox) -> str:
    quoted = mailbox.name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{mailbox.address}>' if mailbox.name else str(mailbox.address)
