"""RELIABILITY A to D: every value that can reach Envoi, and what must become of it.

One row per value, told apart by the number of the row in RELIABILITY and a word. A row says what
readers see of it; where a door is typed for us, `is_refused` says whether it is refused there.
Addresses stand in `tests/directory/hostile.py`, which the directory's own tests use as well.
"""

from dataclasses import dataclass

from tests.directory.hostile import BLANK, LISTS, NORMALISED, NOT_ADDRESSES

__all__ = ["BLANK", "FILE_NAMES", "HEADER_NAMES", "LISTS", "MEDIA_TYPES", "NORMALISED",
           "NOT_ADDRESSES", "TEMPLATES", "TEXTS", "Text"]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One hostile text.

    Args:
        value: As it is handed in.
        line: What a reader sees of it where one line is meant; None: the value itself.
        text: What a reader sees of it in a body; None: the value itself.
        link: What becomes of it as a link.
        own: What becomes of it as a link that may only lead home.
        is_refused: Whether a field typed for us refuses it: it is not one line without controls.
    """

    value: str
    line: str | None = None
    text: str | None = None
    link: str = ""
    own: str = ""
    is_refused: bool = False

    @property
    def as_line(self) -> str:
        """What a reader sees of it on one line."""
        return self.value if self.line is None else self.line

    @property
    def as_text(self) -> str:
        """What a reader sees of it in a body."""
        return self.value if self.text is None else self.text


HOME = "https://code.example.test"
_WORD = "=?utf-8?b?QmNjOiBldmlsQGV2aWwudGVzdA==?="
_SMTP = "MAIL FROM:<evil@x.test>\r\nRCPT TO:<v@x.test>\r\nDATA\r\n"
_SMTP_LINE = "MAIL FROM:<evil@x.test> RCPT TO:<v@x.test> DATA"
_SMTP_TEXT = "MAIL FROM:<evil@x.test>\nRCPT TO:<v@x.test>\nDATA\n"


def _smuggled(sequence: str, text: str) -> Text:
    return Text(
        value=f"a{sequence}{_SMTP}",
        line=f"a {text.strip()} {_SMTP_LINE}",
        text=f"a{text}{_SMTP_TEXT}",
        is_refused=True,
    )


TEXTS = {
    "B1": Text(value="hi =?UTF-8?Q?=0D=0A?=Bcc: evil@evil.test"),
    "B1 alone": Text(value=_WORD, own=f"{HOME}/{_WORD}"),
    "B2": Text(value="A \U0001f4a9 subject\n", line="A \U0001f4a9 subject", is_refused=True),
    "B3 crlf": Text(
        value="x\r\nBcc: evil@evil.test\r\n\r\nbody",
        line="x Bcc: evil@evil.test body",
        text="x\nBcc: evil@evil.test\n\nbody",
        is_refused=True,
    ),
    "B3 lf": Text(value="x\nBcc: e@evil.test", line="x Bcc: e@evil.test", is_refused=True),
    "B3 cr": Text(
        value="x\rBcc: e@evil.test",
        line="x Bcc: e@evil.test",
        text="x\nBcc: e@evil.test",
        is_refused=True,
    ),
    "B4": Text(
        value="a\x0bb\x0cc\x85d\u2028e\u2029f",
        line="a b c d e f",
        text="a\nb\nc\nd\ne\nf",
        is_refused=True,
    ),
    "B5": Text(value="a\x00b", line="ab", text="ab", own=f"{HOME}/ab", is_refused=True),
    "B6": Text(value="half \ud800 pair", line="half \ufffd pair", text="half \ufffd pair",
               is_refused=True),
    "B9": Text(value="hi =?UTF-8?Q?=0A?=To: evil@evil.test"),
    "B11": Text(value="Evil\nBcc: v@x.test", line="Evil Bcc: v@x.test", is_refused=True),
    "B11 quoted": Text(value='"q" <a@b>'),
    "B11 backslash": Text(value='back\\slash" <a@b>, "'),
    "B12": Text(value="security@bank.test", own=f"{HOME}/security@bank.test"),
    "B12 brackets": Text(value="Admin (admin@corp.test)"),
    "B13": Text(value="invoice\u202egpj.exe", line="invoicegpj.exe", own=f"{HOME}/invoicegpj.exe",
                is_refused=True),
    "B14": Text(value="Long " * 1_000 + "end"),
    "B14 without space": Text(value="\u00e4" * 5_000, own=f"{HOME}/" + "\u00e4" * 5_000),
    "C1": Text(
        value=f"\r\n.\r\n{_SMTP}", line=f". {_SMTP_LINE}", text=f"\n.\n{_SMTP_TEXT}",
        is_refused=True,
    ),
    "C2 lf": _smuggled("\n.\n", "\n.\n"),
    "C2 lf crlf": _smuggled("\n.\r\n", "\n.\n"),
    "C2 cr": _smuggled("\r.\r", "\n.\n"),
    "C2 cr lf": _smuggled("\r.\n", "\n.\n"),
    "C2 cr crlf": _smuggled("\r.\r\n", "\n.\n"),
    "C2 double cr": _smuggled("\r\n.\r\r\n", "\n.\n\n"),
    "C2 nul": _smuggled("\r\n\x00.\r\n", "\n.\n"),
    "C3": Text(value="x" * 3_000, own=f"{HOME}/" + "x" * 3_000),
    "C3 long": Text(value="\u4f8b" * 100_000, own=f"{HOME}/" + "\u4f8b" * 100_000),
    "C4": Text(value="y" * 1_000_000, line="y" * 100_000, text="y" * 100_000,
               own=f"{HOME}/" + "y" * 100_000),
    "C5": Text(value="From here\n.\n.x\n..y", line="From here . .x ..y", is_refused=True),
    "C6": Text(value="<script>alert(1)</script>"),
    "C6 image": Text(value="</pre><img src=x onerror=alert(1)>"),
    "C7": Text(value="javascript:alert(1)", own=f"{HOME}/alert(1)"),
    "C7 spaced": Text(value=" java\nscript:alert(1)", line="java script:alert(1)",
                      is_refused=True),
    "C7 data": Text(value="data:text/html,<script>alert(1)</script>"),
    "C7 breakout": Text(value='https://x.test/" onclick="alert(1)'),
    "C7 host": Text(value="//evil.test/x", own=f"{HOME}/evil.test/x"),
    "C7 user": Text(value="/\\evil.test", own=f"{HOME}/evil.test"),
    "E1": Text(
        value="https://evil.test/reset?t=1",
        link="https://evil.test/reset?t=1",
        own=f"{HOME}/reset?t=1",
    ),
    "C9": Text(value="Your prize: evil.test/9b939 \u25c4\u25c4\u25c4"),
    "C10": Text(value="{{7*7}}{{ self.__class__ }}"),
    "C10 include": Text(value='{% include "../../etc/passwd" %}{# x'),
    "C11": Text(value='Tom & "Jerry" <x>'),
    "C12": Text(value="\U0001f600 e\u0301 \u05e9\u05dc\u05d5\u05dd \ufffe \U0010ffff"),
    "C12 mark": Text(value="\ufeffmarked\u200d\u200e", own=f"{HOME}/\ufeffmarked\u200d\u200e"),
    "C13": Text(value=""),
    "F11": Text(value="bob\nINFO admin logged in", line="bob INFO admin logged in",
                is_refused=True),
    "F11 terminal": Text(value="\x1b[2Jgone\x9b31m", line="[2Jgone31m", text="[2Jgone31m",
                         own=f"{HOME}/[2Jgone31m", is_refused=True),
    "percent": Text(value="100% %(name)s %s {0} \\n"),
    "marker": Text(value="<!--envoi:personal--> </body></html>"),
    "sql": Text(value="'; DROP TABLE envoi_event;-- :name %s"),
}  # fmt: skip

# Value of an attachment's name: what a reader sees.
FILE_NAMES = {
    "B17": ('a"\r\nX-Evil: 1\r\n.txt', "a  X-Evil  1 .txt"),
    "B17 path": ("../../etc/passwd", "passwd"),
    "B17 windows": ("C:\\secret\\a.txt", "a.txt"),
    "B17 nul": ("x.pdf\0.exe", "x.pdf.exe"),
    "B17 long": ("n" * 300 + ".pdf", "n" * 100 + ".pdf"),
    "B17 nothing": ("/", "attachment"),
    "B13": ("invoice\u202egpj.exe", "invoicegpj.exe"),
    "B6": ("half \ud800.txt", "half \ufffd.txt"),
    "B1": ("=?utf-8?q?=0D=0ABcc=3A?= x.txt", "= utf-8 q =0D=0ABcc=3A = x.txt"),
    "beyond ASCII": ("\u00dcbersicht \u4f8b\u5b50 \U0001f600.pdf",) * 2,
    "data": ("data:text/html\r\nX: y;,.txt", "html X  y;,.txt"),
}
MEDIA_TYPES = {
    "B18": "text/html\r\nX: y",
    "B18 parameter": 'text/html; name="../../secret"',
    "B18 path": "../../secret",
    "nothing": "/",
    "surrogate": "text/\ud800",
}
HEADER_NAMES = {
    "B7": "X-A\r\nBcc: e@evil.test\r\nX-B",
    "B7 colon": "X: Y",
    "B7 space": "X A",
    "B7 nothing": "",
    "B7 beyond ASCII": "X-\u00dc",
    "B7 surrogate": "X-\ud800",
    **{
        f"B8 {name}": name
        for name in (
            "From", "bcc", "Return-Path", "Received", "Content-Type", "DKIM-Signature", "Subject",
            "TO", "Reply-To", "Message-ID", "Date", "Auto-Submitted", "Resent-To", "MIME-Version",
        )
    },
}  # fmt: skip

# What an application's own template may hold; none of it may cost the mail or leak anything.
TEMPLATES = {
    "D1": '{{ cycler.__init__.__globals__.os.popen("id").read() }}',
    "D2": "{{ ''.__class__.__mro__ }}",
    "D2 attr": "{{ line|attr('__class__') }}",
    "D2 format": "{{ '{0.__class__}'.format(line) }}",
    "D3": "{{ actor.delete() }}",
    "D4": "{{ actor.password }}",
    "D5": '{{ ("x"*200000000)|length }}',
    "D5 format": '{{ "%900000000d"|format(1) }}',
    "D6": "{% for i in range(3000) %}{% for j in range(3000) %}x{% endfor %}{% endfor %}",
    "D6 range": "{% for i in range(10**7) %}x{% endfor %}",
    "D6 recursion": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "D7 include": '{% include "../../etc/passwd" %}',
    "D7 import": '{% import "/etc/passwd" as x %}{{ x }}',
    "D7 extends": '{% extends "../../etc/passwd" %}',
    "D8": "{% if %}",
    "D8 unclosed": "{{ line",
    "D9": "{{ nope }}",
    "D9 nothing": "{{ nope.nope }}",
    "empty": "",
}
