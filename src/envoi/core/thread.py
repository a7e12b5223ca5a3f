"""This room keeps the mails about one subject together: the ids of their conversation."""

from hashlib import sha256

from envoi.core.event import Event

# What a thread id takes from a subject as it is; `=` begins an escaped octet.
_ID_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/_+-"
MAX_ID_CHARS = 200


def thread_of(event: Event, host: str) -> tuple[str, ...]:
    """Return the ids of the conversation about the event's subject; none without a subject.

    All mails of one subject name the same root, which itself is never sent: that is what makes
    them one thread in every reader, in whatever order they arrive.

    >>> thread_of(Event(kind="note", subject="docs/pull/7"), "example.org")
    ('docs/pull/7@example.org',)
    """
    if not event.subject:
        return ()
    # RFC 5322 3.6.4 id-left is a dot-atom; every octet that may not stand there is written `=XX`.
    left = "".join(
        chr(octet) if octet in _ID_LETTERS else f"={octet:02X}"
        for octet in event.subject.encode("utf-8", "replace")
    )
    if len(left) > MAX_ID_CHARS:
        # Two long subjects that begin alike are still two conversations.
        left = left[: MAX_ID_CHARS - 33] + "+" + sha256(left.encode("ascii")).hexdigest()[:32]
    return (f"{left}@{host}",)
