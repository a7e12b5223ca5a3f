"""This room shapes values in templates: lengths, quotes, lines, links and moments.

Every filter takes plain data and gives text; those for HTML escape what they are given.
"""

import re
import textwrap
from datetime import UTC, datetime, timedelta, tzinfo

from babel import Locale
from babel.dates import format_date, format_time
from markupsafe import Markup, escape

from envoi.core.kind import MASK, clean_link

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A label longer than this would leave no room for what the mail is about.
MAX_TAGS_CHARS = 60
_MIN_WIDTH, _MAX_WIDTH = 20, 998


def shorter(text: object, length: int = 50) -> str:
    """Return the text on one line, cut to `length` characters with `...` in them.

    >>> shorter("x" * 60)[-5:], len(shorter("x" * 60)), shorter("short")
    ('xx...', 50, 'short')
    """
    line = " ".join(str(text).split())
    return line if len(line) <= length else line[: max(length - 3, 0)] + "..."


def first_line(text: object) -> str:
    r"""Return the first line that says something.

    >>> first_line("\n Fix it\n\nbecause")
    'Fix it'
    """
    return next((line.strip() for line in str(text).splitlines() if line.strip()), "")


def tagged(subject: object, tags: object) -> str:
    """Return the subject with tags inside its first bracket, in one of their own where it has none.

    Mail readers that gather mails by subject pass over what stands in brackets at its beginning:
    so a vote and its closing stay in the conversation that they belong to.

    >>> tagged("[Comment] docs", "Approved, Closing"), tagged("docs", "Closing")
    ('[Approved, Closing: Comment] docs', '[Closing] docs')
    """
    # A bracket within the tags would end the one they stand in.
    line, said = first_line(subject), re.sub(r"[][]", "", shorter(tags, MAX_TAGS_CHARS)).strip()
    if not said:
        return line
    return f"[{said}: {line[1:]}" if line.startswith("[") else f"[{said}] {line}"


def wrap(text: object, width: int = 76) -> str:
    """Return the text with long lines broken at spaces; links and other long words stay whole."""
    # Below, every word would stand alone; above, a line would not fit a mail.
    width = min(max(int(width), _MIN_WIDTH), _MAX_WIDTH)
    return "\n".join(_wrapped(line, width) for line in str(text).split("\n"))


def quote_block(text: object) -> str:
    r"""Return the text as a quotation.

    >>> quote_block("a\n\nb")
    '> a\n>\n> b'
    """
    return "\n".join(f"> {line}".rstrip() for line in str(text).split("\n"))


def breaks(text: object) -> Markup:
    r"""Return the text for HTML, escaped, its line ends and indents kept.

    >>> breaks("a <b>\n  c")
    Markup('a &lt;b&gt;<br>\n&nbsp;&nbsp;c')
    """
    return Markup("<br>\n").join(_indented(line) for line in str(text).split("\n"))


def link(url: object, root: str = "") -> str:
    """Return a web link or mailto, a path made absolute below `root`; nothing for the rest (C7).

    A masked link stays masked: it must look like what it stands for.

    >>> link("/pull/7", "https://example.org"), link("javascript:alert(1)")
    ('https://example.org/pull/7', '')
    """
    if url == MASK:
        return MASK
    cleaned = clean_link(str(url or ""))
    return f"{root}{cleaned}" if cleaned.startswith("/") else cleaned


def is_absolute(url: object) -> bool:
    """Whether a reader can follow the link from a mail: neither a mask nor a bare path."""
    return bool(url) and clean_link(str(url)) == url and not str(url).startswith("/")


def moment(at_ms: object, locale: Locale, zone: tzinfo) -> str:
    """Return a moment as people write it there; nothing for no moment.

    >>> from zoneinfo import ZoneInfo
    >>> moment(1_767_225_600_000, Locale("de"), ZoneInfo("Europe/Berlin"))
    '01.01.2026, 01:00 CET'
    """
    if not isinstance(at_ms, int | float) or isinstance(at_ms, bool):
        return ""
    try:
        at = (_EPOCH + timedelta(milliseconds=at_ms)).astimezone(zone)
    except (OverflowError, ValueError):
        return ""
    day = format_date(at.date(), "medium", locale=locale)
    time = format_time(at.timetz(), "short", locale=locale)
    name = at.tzname() or ""
    # Zones without letters of their own are called `+03` in the tables.
    return f"{day}, {time} {'UTC' if name[:1] in {'+', '-'} else ''}{name}"


def _wrapped(line: str, width: int) -> str:
    if len(line) <= width:
        return line
    # A list or code keeps its left edge; an edge in the far right is no edge.
    indent = line[: len(line) - len(line.lstrip())][: width // 2]
    return textwrap.fill(
        line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _indented(line: str) -> Markup:
    words = line.lstrip(" ")
    return Markup("&nbsp;") * (len(line) - len(words)) + escape(words)
