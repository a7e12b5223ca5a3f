"""This room has the words of the mails, the same for everybody who is measured.

Standard library only: the peers' programs import it in an environment without Envoi.
"""

from dataclasses import dataclass
from email.message import EmailMessage
from functools import cache

SENDER = "bench@app.example"
SUBJECT = "The build of docs has finished"
# What the two sizes are about: a notice of 2 KB text, and a page of 15 KB in text and HTML.
SMALL_TEXT_BYTES = 2_000
LARGE_TEXT_BYTES, LARGE_HTML_BYTES = 4_000, 11_000
SIZES = ("small", "large")
_TEXT = (
    "after the review was merged every page of the manual has been built again and "
    "put where readers find it while links that lead nowhere are listed below by page"
)
_LINE_CHARS = 70


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What a mail says.

    Args:
        subject: One line.
        text: The plain part.
        html: The HTML part; empty for text only.
    """

    subject: str
    text: str
    html: str = ""


@cache
def words(size: str) -> Words:
    """Return the words of a size: `small` or `large`."""
    if size == "small":
        return Words(subject=SUBJECT, text=_prose(SMALL_TEXT_BYTES))
    rows = "\n".join(f"<p>{line}</p>" for line in _prose(LARGE_HTML_BYTES - 1_000).splitlines())
    html = f"<html><body>\n{rows}\n</body></html>\n"
    return Words(subject=SUBJECT, text=_prose(LARGE_TEXT_BYTES), html=html)


def recipient(number: int) -> str:
    """Return the address of the reader with a number.

    >>> recipient(7)
    'reader7@mail.example'
    """
    return f"reader{number}@mail.example"


def message(size: str, number: int) -> EmailMessage:
    """Return the mail as a program writes it that has only the standard library."""
    return written(number, words(size))


def written(number: int, said: Words) -> EmailMessage:
    """Return the mail of the reader with a number, with these words."""
    mail = EmailMessage()
    mail["From"] = SENDER
    mail["To"] = recipient(number)
    mail["Subject"] = said.subject
    mail.set_content(said.text)
    if said.html:
        mail.add_alternative(said.html, subtype="html")
    return mail


def _prose(size_bytes: int) -> str:
    known = _TEXT.split()
    lines: list[str] = []
    line, count, at = "", 0, 0
    while count < size_bytes:
        # Steps of seven through the words, so that lines differ.
        line = f"{line} {known[at * 7 % len(known)]}".strip()
        at += 1
        if len(line) >= _LINE_CHARS - 10:
            lines.append(line)
            count += len(line) + 1
            line = ""
    return "\n".join(lines) + "\n"
