"""This room reads what a relay says: bounded, joined, scrubbed, harmless to log.

A relay is not trusted. A reply may be endless, may hold control characters or may echo the
password it was given; none of that reaches a verdict, a log line or memory beyond the limits here.
"""

import base64
import re
from typing import NamedTuple

from envoi.journal import escaped

# RFC 5321 4.5.3.1.5 allows 512 octets a line; we take 8 KiB because Exchange does not obey.
MAX_LINE_BYTES = 8 * 1024
# The longest honest reply is EHLO's, some 20 lines; a hostile one is endless (R4).
MAX_REPLY_LINES = 100
MAX_REPLY_BYTES = 64 * 1024
# What is stored and shown of a reply (F12).
MAX_TEXT_CHARS = 512
# More different replies than any relay has for its usual words; queue ids fill the rest.
_MAX_KNOWN = 64

# RFC 5321 4.2: Reply-code = %x32-35 %x30-35 %x30-39. The second digit is not policed: no decision
# of ours reads it.
_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)
# RFC 3463 2: class, subject and detail.
_ENHANCED = re.compile(rb"[245]\.[0-9]{1,3}\.[0-9]{1,3}(?![0-9.])")
_MASK = "***"
# Tokens that a scrubber remembers, each in two forms, alone and within its sign-in.
_MAX_LEARNED = 32
# No shorter part of a secret is told from a word; quotes and their like enclose one.
_LONG_WORD = re.compile(r"[^\s\"'`<>(),;:]{16,}")


class GarbledReplyError(ValueError):
    """What came is not an SMTP reply; says what was wrong. Never leaves this room."""


class Answer(NamedTuple):
    """One complete reply, its text still raw.

    A tuple, not a dataclass: four of them are made for every mail, and this is three times faster.

    Args:
        code: 200..599.
        lines: The text of each line.
    """

    code: int
    lines: tuple[bytes, ...]

    @property
    def is_positive(self) -> bool:
        """Whether the relay did what it was asked."""
        return 200 <= self.code < 300  # noqa: PLR2004 # SMTP's own number

    @property
    def names_address(self) -> bool:
        """Whether its enhanced code (RFC 3463) is of the kind that MAIL and RCPT get: X.1.X."""
        return self.lines[0][1:4] == b".1."

    @property
    def names_content(self) -> bool:
        """Whether it has an enhanced code, and not of the kind that MAIL and RCPT get."""
        return _ENHANCED.match(self.lines[0]) is not None and not self.names_address

    @property
    def is_refusal(self) -> bool:
        """Whether the relay said no, for now or for good."""
        return self.code >= 400  # noqa: PLR2004 # SMTP's own number


class ReplyReader:
    """Cuts a stream of bytes into replies, however it was chopped on the way."""

    def __init__(self) -> None:
        """Start with nothing read."""
        self._received = b""
        self._at = 0  # where in it the next line begins
        self._code = 0
        self._lines: list[bytes] = []
        self._bytes = 0
        # A relay says the same few things to every mail: each is read once.
        self._known: dict[bytes, Answer] = {}

    @property
    def is_empty(self) -> bool:
        """Whether no byte waits, not even half a reply."""
        return self._at == len(self._received) and not self._lines

    def feed(self, received: bytes) -> None:
        """Take bytes as they came from the relay."""
        rest = self._received[self._at :]
        self._received = rest + received if rest else received
        self._at = 0

    def next(self) -> Answer | None:
        """Return the next complete reply, or None until more bytes come.

        Raises:
            GarbledReplyError: It is no reply, or beyond the limits; the stream is lost.
        """
        while (end := self._received.find(b"\n", self._at)) >= 0:
            line = self._received[self._at : end]
            answer = None if self._lines else self._known.get(line)
            if answer is None:
                _check_length(end - self._at)
                # Some relays end lines with LF alone; reading them is harmless, writing so is not.
                answer = self._take(line.removesuffix(b"\r"))
                if answer is not None:
                    self._remember(line, answer)
            self._at = end + 1
            if answer is not None:
                return answer
        _check_length(len(self._received) - self._at)
        return None

    def _remember(self, line: bytes, answer: Answer) -> None:
        if len(answer.lines) == 1 and len(self._known) < _MAX_KNOWN and len(line) < MAX_TEXT_CHARS:
            self._known[line] = answer

    def _take(self, line: bytes) -> Answer | None:
        match = _LINE.fullmatch(line)
        if match is None:
            raise GarbledReplyError(f"expected a reply code, got {shown(line)!r}")
        code, mark, text = int(match[1]), match[2], match[3] or b""
        # RFC 5321 4.2.1: "the reply code must be the same on each line".
        if self._lines and code != self._code:
            raise GarbledReplyError(f"a reply began with {self._code} and went on with {code}")
        if not self._lines and mark != b"-":
            return Answer(code, (text,))
        self._code = code
        self._lines.append(text)
        self._bytes += len(line)
        if len(self._lines) > MAX_REPLY_LINES or self._bytes > MAX_REPLY_BYTES:
            raise GarbledReplyError(
                f"a reply is longer than {MAX_REPLY_LINES} lines or {MAX_REPLY_BYTES} bytes"
            )
        if mark == b"-":
            return None
        answer = Answer(code, tuple(self._lines))
        self._lines, self._bytes = [], 0
        return answer


class Scrubber:
    """Takes secrets out of what a relay says before anybody stores or prints it.

    Args:
        secrets: Texts that must not be seen; also looked for in base64, as AUTH writes them.
    """

    def __init__(self, *secrets: str) -> None:
        """Prepare the forms in which a relay could echo the secrets."""
        forms = {form for secret in secrets if secret for form in _forms(secret)}
        self._learned: list[str] = []
        # The longest first, or a part would be masked and the rest left standing.
        self._forms = sorted(forms, key=len, reverse=True)

    def __repr__(self) -> str:
        """Return nothing of the secrets."""
        return f"{type(self).__name__}({_MASK})"

    def learn(self, *secrets: str) -> None:
        """Take in secrets that came up later, such as tokens; the latest are remembered."""
        own = [form for form in self._forms if form not in self._learned]
        found = {form: None for secret in secrets if secret for form in _forms(secret)}
        self._learned = list({**dict.fromkeys(self._learned), **found})[-_MAX_LEARNED:]
        self._forms = sorted({*own, *self._learned}, key=len, reverse=True)

    def text(self, answer: Answer) -> str:
        """Return the reply's text on one line, scrubbed, escaped and cut."""
        joined = b" ".join(answer.lines)
        if not self._forms:
            return shown(joined)
        # Scrub before cutting: half a secret at the edge would no longer be recognised.
        decoded = joined.decode("utf-8", "backslashreplace")
        return shown(self.scrub(decoded))

    def scrub(self, text: str) -> str:
        """Return the text with every secret masked."""
        for form in self._forms:
            text = text.replace(form, _MASK)
        # A relay may show a part of a long secret only: a token has a thousand characters.
        return _LONG_WORD.sub(self._without_part, text)

    def _without_part(self, match: re.Match[str]) -> str:
        return _MASK if any(match[0] in form for form in self._forms) else match[0]


def _check_length(count: int) -> None:
    if count > MAX_LINE_BYTES:
        raise GarbledReplyError(f"a reply line is longer than {MAX_LINE_BYTES} bytes")


def _forms(secret: str) -> tuple[str, str]:
    return secret, base64.b64encode(secret.encode()).decode().rstrip("=")


def shown(said: bytes | str) -> str:
    r"""Return what a relay said as bounded text on one line.

    >>> shown(b"no \x1b[2J such user")
    'no \\x1b[2J such user'
    """
    text = said.decode("utf-8", "backslashreplace") if isinstance(said, bytes) else said
    if len(text) <= MAX_TEXT_CHARS and text.isascii() and text.isprintable():
        return text.strip()
    return escaped(text[:MAX_TEXT_CHARS]).strip()[:MAX_TEXT_CHARS]
