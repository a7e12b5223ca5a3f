"""This room writes a layout's style sheet into its elements, because mail readers drop sheets.

Sheets like the shipped one are read once and written tag by tag (`sheet`); any other goes to a
library that knows all selectors and takes ten times as long. Rules for media (dark mode) cannot
be inlined and stay in the head. Nothing is ever fetched: a linked sheet is dropped.
"""

import re
from typing import Protocol

from envoi.templates.sheet import Sheet, read_sheet

# Sheets are kept by their text, and a template that writes facts into its sheet makes many.
MAX_SHEETS = 100
_SHEETS = re.compile(r"<(?i:style|link)\b[^>]*>")
_ONE_SHEET = ["<style>"]


class _Library(Protocol):
    # The library's own type is only named where it is loaded.
    def inline(self, html: str) -> str: ...


class Inliner:
    """Inlines the `<style>` of HTML documents; safe to share between threads."""

    def __init__(self) -> None:
        """Load nothing before the first document."""
        self._library: _Library | None = None
        self._sheets: dict[str, Sheet | None] = {}

    def __call__(self, html: str) -> str:
        """Return the document with its rules in `style` attributes."""
        before, _, rest = html.partition("<style>")
        text, end, behind = rest.partition("</style>")
        is_one = end and _SHEETS.findall(html) == _ONE_SHEET
        sheet = self._sheet(text) if is_one else None
        if sheet is None:
            return self._by_library(html)
        media = f"<style>{sheet.media}</style>" if sheet.media else ""
        return f"{sheet.written(before)}{media}{sheet.written(behind)}"

    def _sheet(self, text: str) -> Sheet | None:
        if text in self._sheets:
            return self._sheets[text]
        sheet = read_sheet(text)
        if len(self._sheets) < MAX_SHEETS:
            self._sheets[text] = sheet
        return sheet

    def _by_library(self, html: str) -> str:
        if self._library is None:
            self._library = _load()
        return self._library.inline(html)


def _load() -> _Library:
    import css_inline  # noqa: PLC0415 # 20 ms, and a process that only delivers never needs it

    return css_inline.CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)
