"""This room makes the plain part of a mail that has only HTML (C13)."""

import re
from html import unescape
from html.parser import HTMLParser

_SILENT = frozenset({"head", "style", "script", "title", "template"})
_BLOCKS = frozenset(
    "address article aside blockquote body center dd div dl dt footer form h1 h2 h3 h4 h5 h6 "  # noqa: SIM905 # reads as a list
    "header hr html li main nav ol p pre section table tbody td tfoot th thead tr ul".split()
)
_SPACED = frozenset({"h1", "h2", "h3", "h4", "p", "ul", "ol", "blockquote", "pre", "table"})


def text_of_html(html: str) -> str:
    r"""Return what a reader without HTML needs: the words, and each link behind its text.

    >>> text_of_html("<p>Hello <b>you</b></p><p><a href='https://x.test/1'>Look</a></p>")
    'Hello you\n\nLook <https://x.test/1>'
    """
    reader = _Reader()
    reader.feed(html)
    reader.finish()
    lines = [" ".join(line.split(" ")).strip() for line in "".join(reader.pieces).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class _Reader(HTMLParser):
    """Collects words, line ends and links while the document passes by."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._silent = 0
        self._links: list[tuple[str, int]] = []

    # The names are html.parser's.

    def parse_marked_section(self, i: int, report: int = 1) -> int:  # noqa: ARG002 # its signature
        """Pass over `<![...]>` as browsers do, which read it as a comment.

        The library raises `AssertionError` for a section whose name it does not know.
        """
        return self.parse_bogus_comment(i)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin an element: silence, a line, a link or a list item."""
        if tag in _SILENT:
            self._silent += 1
        elif tag == "br":
            self.pieces.append("\n")
        elif tag == "a":
            self._links.append((dict(attrs).get("href") or "", len(self.pieces)))
        self._space(tag)
        if tag == "li":
            self.pieces.append("- ")

    def handle_endtag(self, tag: str) -> None:
        """End an element; a link is followed by where it leads."""
        if tag in _SILENT:
            self._silent = max(self._silent - 1, 0)
        elif tag == "a" and self._links:
            href, start = self._links.pop()
            # A link that is its own text is said once.
            if href and href not in "".join(self.pieces[start:]):
                self.pieces.append(f" <{href}>")
        self._space(tag)

    def handle_data(self, data: str) -> None:
        """Keep words that a reader would see."""
        if self._silent:
            return
        # Line ends in the source of HTML mean nothing.
        words = re.sub(r"[ \t\r\n]+", " ", data)
        at_line_start = not self.pieces or self.pieces[-1].endswith("\n")
        self.pieces.append(words.lstrip(" ") if at_line_start else words)

    def finish(self) -> None:
        """Take what stands behind the last whole tag; a tag or comment that never ends is none.

        Browsers do so too. The library's own `close` reads the rest anew from each `<`, which
        takes minutes for 100 kB that somebody made for it.
        """
        rest = self.rawdata
        if rest == "<" or not rest.startswith("<"):
            self.handle_data(unescape(rest))

    def _space(self, tag: str) -> None:
        if tag in _SPACED:
            self.pieces.append("\n\n")
        elif tag in _BLOCKS and self.pieces and not self.pieces[-1].endswith("\n"):
            self.pieces.append("\n")
