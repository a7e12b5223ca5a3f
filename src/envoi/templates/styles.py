"""This room writes a layout's style sheet into its elements, because mail readers drop sheets.

Every message is inlined after it is rendered, so any selector works; that costs 20 to 40 µs, which
is less than the rendering itself. Rules for media (dark mode) cannot be inlined and stay in the
head. Nothing is ever fetched: a linked sheet is dropped.
"""

from typing import Protocol


class _Library(Protocol):
    # The library's own type is only named where it is loaded.
    def inline(self, html: str) -> str: ...


class Inliner:
    """Inlines the `<style>` of HTML documents; safe to share between threads."""

    def __init__(self) -> None:
        """Load nothing before the first document."""
        self._library: _Library | None = None

    def __call__(self, html: str) -> str:
        """Return the document with its rules in `style` attributes."""
        if self._library is None:
            self._library = _load()
        return self._library.inline(html)


def _load() -> _Library:
    import css_inline  # noqa: PLC0415 # 20 ms, and a process that only delivers never needs it

    return css_inline.CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)
