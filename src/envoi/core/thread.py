"""This room keeps the mails about one subject together: the ids of their conversation.

What a conversation is about is the event's subject. An application may name it itself; for a kind
with patterns (`{repository}-pr-{number}`) it need not, and two programs that tell of the same
pull request then write into the same conversation.
"""

import re
from collections.abc import Mapping
from hashlib import sha256

from envoi.core.kind import Kind, Plain, clean_line

# What a thread id takes from a subject as it is; `=` begins an escaped octet.
_ID_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/_+-"
MAX_ID_CHARS = 200
MAX_SUBJECT_CHARS = 512
# In the pattern of a subthread: the subject whose conversation it belongs to.
SUBJECT = "subject"

_ATOM = re.compile(r"[A-Za-z0-9/_+-]*")
_FIELD = re.compile(r"\{([a-z][a-z0-9_]*)\}")


def fields_of(pattern: str) -> tuple[str, ...]:
    """Return the facts that a pattern names, in their order.

    >>> fields_of("{repository}-pr-{number}")
    ('repository', 'number')

    Raises:
        ValueError: It names none, or holds a brace that belongs to no name.
    """
    names = tuple(_FIELD.findall(pattern))
    if not names or re.search(r"[{}]", _FIELD.sub("", pattern)):
        raise ValueError("a text with facts in braces such as {repository}-pr-{number}")
    return names


def filled(pattern: str, facts: Mapping[str, Plain]) -> str:
    """Return the pattern with the facts in it; nothing when one of them is not given.

    >>> filled("{repository}-pr-{number}", {"repository": "docs", "number": 7})
    'docs-pr-7'
    >>> filled("{repository}-pr-{number}", {"repository": "docs", "number": None})
    ''
    """
    if any(facts.get(name) in (None, "") for name in _FIELD.findall(pattern)):
        return ""
    return clean_line(_FIELD.sub(lambda found: str(facts[found[1]]), pattern))


def subject_of(kind: Kind, facts: Mapping[str, Plain]) -> str:
    """Return the subject that an event of this kind has when it gives none; empty for none."""
    found = next(filter(None, (filled(pattern, facts) for pattern in kind.subjects)), "")
    return found[:MAX_SUBJECT_CHARS]


def thread_of(kind: Kind, subject: str, facts: Mapping[str, Plain], host: str) -> tuple[str, ...]:
    """Return the ids of the conversation that a mail belongs to; none without a subject.

    All mails of one subject name the same root, which itself is never sent: that is what makes
    them one thread in every reader, in whatever order they arrive. A second id stands for the
    part of it that the mail is about, such as one line of one file.

    >>> thread_of(Kind(name="note", facts={}), "docs-pr-7", {}, "example.org")
    ('docs-pr-7@example.org',)
    """
    if not subject:
        return ()
    part = filled(kind.subthread, {**facts, SUBJECT: subject}) if kind.subthread else ""
    return tuple(f"{_id_left(name)}@{host}" for name in (subject, part) if name)


def _id_left(name: str) -> str:
    # RFC 5322 3.6.4 id-left is a dot-atom: a dot may stand between two other letters only.
    atoms = name.split(".")
    left = (".".join if all(atoms) else "=2E".join)(map(_escaped, atoms))
    if len(left) > MAX_ID_CHARS:
        # Two long subjects that begin alike are still two conversations.
        left = left[: MAX_ID_CHARS - 33] + "+" + sha256(left.encode("ascii")).hexdigest()[:32]
    return left


def _escaped(atom: str) -> str:
    # Every octet that may not stand in an atom is written `=XX`.
    if _ATOM.fullmatch(atom):
        return atom
    return "".join(
        chr(octet) if octet in _ID_LETTERS else f"={octet:02X}"
        for octet in atom.encode("utf-8", "replace")
    )
