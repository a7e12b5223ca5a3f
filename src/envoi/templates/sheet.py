"""This room reads style sheets whose selectors look at nothing but an element's type and classes.

What an element gets from such a sheet depends on its own tag alone. So the sheet is read once and
written into each document in one pass over its tags, without a tree of the document.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

# Tags that are kept as they come out; an operator's template may make class names of facts.
MAX_TAGS = 1_000

_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_STRING = re.compile(r"\"[^\"]*\"|'[^']*'")
# Signs that mean something else within a string, and those that make everything else hard to read.
_SIGNS = frozenset("{}@;:,")
_HARD = re.compile(r"[\\<]|url\s*\(", re.IGNORECASE)
# Rules for media with what they hold, or one rule.
_RULE = re.compile(r"\s*(?:(@media\b[^{}@]*\{(?:[^{}@]*\{[^{}@]*\})*\s*\})|([^{}@]+)\{([^{}@]*)\})")
_SELECTOR = re.compile(r"([A-Za-z][A-Za-z0-9]*)?((?:\.[A-Za-z_-][A-Za-z0-9_-]*)*)")
_DECLARATION = re.compile(r"([A-Za-z-]+)\s*:\s*([^:;]*[^:;\s])")

_VALUES = r"[^\"'<>]*(?:\"[^\"]*\"[^\"'<>]*|'[^']*'[^\"'<>]*)*"
# Comments and texts that are no markup come first, so that a tag within them is none.
# All begin with the one sign that the search leaps to; without regard to case it could not.
_TAG = re.compile(
    r"<(?:!--.*?-->|((?i:title|script|textarea))\b.*?</(?i:\1)\s*>"
    rf"|([A-Za-z][A-Za-z0-9]*)((?:[\s/]{_VALUES})?)>)",
    re.DOTALL,
)
_ATTRIBUTE = re.compile(r"\s*([^\s\"'<>/=]+)(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'=<>`]+)))?")


@dataclass(frozen=True, slots=True)
class Rule:
    """One selector with its declarations.

    Args:
        type: Of the elements it means, lower case; empty: any.
        classes: What they all have.
        declarations: As a `style` attribute holds them.
    """

    type: str
    classes: frozenset[str]
    declarations: str

    @property
    def weight(self) -> tuple[int, int]:
        """How special it is: of two rules the more special one wins, wherever it stands."""
        return len(self.classes), len(self.type) > 0


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet that can be written into a document tag by tag; see `read_sheet`.

    Args:
        rules: The less special first, so that the last declaration wins.
        media: Rules for media, which stay in the head.
    """

    rules: Sequence[Rule]
    media: str
    _tags: dict[str, str] = field(default_factory=dict[str, str])

    def written(self, html: str) -> str:
        """Return a piece of a document with the rules in its `style` attributes."""
        return _TAG.sub(self._styled, html)

    def _styled(self, tag: re.Match[str]) -> str:
        whole = tag[0]
        known = self._tags.get(whole)
        if known is not None:
            return known
        name, rest = tag[2], tag[3]
        styled = self._made(name, rest) if name else whole
        # The same link hardly ever comes again; the layout's own tags do in every mail.
        if name and ":" not in whole and len(self._tags) < MAX_TAGS:
            self._tags[whole] = styled
        return styled

    def _made(self, name: str, attributes: str) -> str:
        classes, own, others = _read(attributes)
        has = frozenset(classes.split())
        found = [r for r in self.rules if r.type in {"", name.lower()} and r.classes <= has]
        if not found:
            return f"<{name}{attributes}>"
        look = "".join(rule.declarations for rule in found)
        style = f' style="{look}{own}"'
        # Behind a slash it would be the end of an attribute's value.
        return f"<{name}{style}{others}>" if others.endswith("/") else f"<{name}{others}{style}>"


def read_sheet(text: str) -> Sheet | None:
    """Return the sheet of a `<style>` element; None for one that looks at more than single tags."""
    text = _COMMENT.sub("", text).strip()
    rest = _STRING.sub("", text)
    strings = "".join(_STRING.findall(text))
    # The `style` attribute stands in double quotes, so its strings need the others.
    is_hard = _HARD.search(text) or "'" in strings + rest or '"' in rest
    if is_hard or not _SIGNS.isdisjoint(strings):
        return None
    rules: list[Rule] = []
    media: list[str] = []
    at = 0
    while at < len(text):
        found = _RULE.match(text, at)
        if found is None:
            return None
        at = found.end()
        if found[1]:
            media.append(found[1])
            continue
        read = list(_rules(found[2].split(","), found[3]))
        if not all(read):
            return None
        rules += filter(None, read)
    return Sheet(sorted(rules, key=lambda rule: rule.weight), "\n".join(media))


def _rules(selectors: Iterable[str], body: str) -> Iterator[Rule | None]:
    lines = [_DECLARATION.fullmatch(line.strip()) for line in body.split(";") if line.strip()]
    if not all(lines):
        yield None
        return
    declarations = "".join(f"{line[1]}: {line[2]};" for line in lines if line).replace('"', "'")
    for selector in selectors:
        found = _SELECTOR.fullmatch(selector.strip())
        if not found or not found[0]:
            yield None
            return
        yield Rule((found[1] or "").lower(), frozenset(found[2].split(".")[1:]), declarations)


def _read(attributes: str) -> tuple[str, str, str]:
    # Of two attributes of one name the first counts (HTML 13.2.5.33).
    if attributes.startswith(' class="') and "style" not in attributes:
        return attributes[8:].partition('"')[0], "", attributes
    found: dict[str, re.Match[str]] = {}
    for attribute in _ATTRIBUTE.finditer(attributes):
        found.setdefault(attribute[1].lower(), attribute)
    classes = _value(found["class"]) if "class" in found else ""
    if "style" not in found:
        return classes, "", attributes
    start, end = found["style"].span()
    own = _value(found["style"]).replace('"', "&quot;")
    return classes, own, attributes[:start] + attributes[end:]


def _value(attribute: re.Match[str]) -> str:
    return attribute[2] or attribute[3] or attribute[4] or ""
