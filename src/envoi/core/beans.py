"""This room reads mail senders from a file of Spring beans, as an OMERO server keeps them.

Such a file comes from somewhere else, so it is read as data and nothing more: no document type,
no entities, no references to other files, a bounded size and depth. A bean that does not fit is
left out with the reason, and the others are read.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import cast
from xml.parsers import expat

from envoi.core.beanrules import COMMON, PROPERTIES, Bean, tables_of
from envoi.core.kind import Plain
from envoi.core.problem import Problem

# The shipped example has 5 KB; nobody writes a megabyte of rules by hand.
MAX_FILE_BYTES = 1024 * 1024
MAX_DEPTH = 30


@dataclass(frozen=True, slots=True)
class SenderTables:
    """What a file says.

    Args:
        tables: Tables of senders by name.
        problems: What was left out, and why.
    """

    tables: Mapping[str, Mapping[str, Plain]]
    problems: tuple[Problem, ...] = ()


@dataclass(slots=True)
class _Element:
    tag: str
    attributes: Mapping[str, str]
    children: "list[_Element]" = field(default_factory=list["_Element"])
    text: str = ""

    def named(self, *tags: str) -> "Iterator[_Element]":
        return (child for child in self.children if child.tag in tags)


class _NotReadError(ValueError):
    """The file is no file of beans, or says more than a file of beans may."""


def read_beans(content: bytes, file: str) -> SenderTables:
    """Return the senders of a file of beans.

    Args:
        content: As it lies on the disk.
        file: Its name, for problems.
    """
    try:
        root = _parsed(content)
    except (expat.ExpatError, LookupError, ValueError) as err:  # of encodings the last two
        expected = "an XML file of beans, without document type and entities"
        return SenderTables({}, (Problem(where=file, expected=expected, got=str(err)),))
    elements = list(root.named("bean"))
    by_id = {one.attributes["id"]: one for one in elements if "id" in one.attributes}
    tables: dict[str, dict[str, Plain]] = {}
    problems: list[Problem] = []
    for element in elements:
        if element.attributes.get("abstract") == "true":
            continue
        where = f"{file}: {element.attributes.get('id') or element.attributes.get('class', 'bean')}"
        found = _class_problems(where, element)
        if not found:
            bean = _bean(element, by_id)
            found = _property_problems(where, bean)
            if not found:
                read, found = tables_of(bean, where)
                found += _joined(tables, read, where)
        problems += found
    return SenderTables(tables, tuple(problems))


def without_taken(read: SenderTables, shipped: Mapping[str, Mapping[str, Plain]]) -> SenderTables:
    """Leave out whose name a shipped sender of another kind has: that one goes on speaking.

    Args:
        read: Of a file.
        shipped: The shipped senders' tables by name.
    """
    taken = [
        name
        for name, table in read.tables.items()
        if name in shipped and table.get("kind", shipped[name]["kind"]) != shipped[name]["kind"]
    ]
    problems = tuple(
        Problem(
            where=f"senders.{name}",
            expected="a bean whose id is no other sender's name",
            got=f"one like the shipped {name}, which tells of {shipped[name]['kind']}",
            hint="give the bean another id",
        )
        for name in taken
    )
    tables = {name: table for name, table in read.tables.items() if name not in taken}
    return SenderTables(tables, (*read.problems, *problems))


def _joined(
    tables: dict[str, dict[str, Plain]], read: Mapping[str, dict[str, Plain]], where: str
) -> list[Problem]:
    own = next(iter(read), "")
    if own in tables:
        expected = "an id that no other bean has"
        return [Problem(where=where, expected=expected, got=f"a second {own} in this file")]
    for name, table in read.items():
        # Several beans may tell of the same; whom one of them names, is told.
        before = tables.setdefault(name, table)
        if before is not table:
            known = cast("list[Plain]", before["recipients"])
            more = cast("list[Plain]", table["recipients"])
            tables[name] = {**before, "recipients": list(dict.fromkeys((*known, *more)))}
    return []


def _class_problems(where: str, element: _Element) -> list[Problem]:
    name = _class_of(element)
    if name in PROPERTIES:
        return []
    near = get_close_matches(name, PROPERTIES, n=1)
    hint = f"did you mean {near[0]}?" if near else ""
    expected = f"one of {', '.join(PROPERTIES)}"
    return [Problem(where=f"{where}.class", expected=expected, got=repr(name), hint=hint)]


def _property_problems(where: str, bean: Bean) -> list[Problem]:
    known = (*COMMON, *PROPERTIES[bean.class_name])
    problems: list[Problem] = []
    for name in bean.properties:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else ""
            expected = f"one of {', '.join(known)}"
            problem = Problem(
                where=f"{where}.{name}", expected=expected, got="an unknown property", hint=hint
            )
            problems.append(problem)
    return problems


def _bean(element: _Element, by_id: Mapping[str, _Element]) -> Bean:
    name = element.attributes.get("id", "")
    return Bean(id=name, class_name=_class_of(element), properties=_properties(element, by_id))


def _class_of(element: _Element) -> str:
    return element.attributes.get("class", "").rpartition(".")[2]


def _properties(element: _Element, by_id: Mapping[str, _Element]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    # A bean may have a parent, and another one around it; its own words win.
    lineage = [element]
    while (parent := by_id.get(lineage[-1].attributes.get("parent", ""))) and len(
        lineage
    ) < MAX_DEPTH:
        lineage.append(parent)
    for one in reversed(lineage):
        for argument in one.named("constructor-arg"):
            for inner in argument.named("bean"):
                found |= _own(inner)
        found |= _own(one)
    return found


def _own(element: _Element) -> dict[str, tuple[str, ...]]:
    return {
        one.attributes.get("name", ""): tuple(_values(one)) for one in element.named("property")
    }


def _values(element: _Element) -> Iterator[str]:
    if "value" in element.attributes:
        yield element.attributes["value"].strip()
    for child in element.children:
        if child.tag == "value":
            yield " ".join(child.text.split())
        else:
            yield from _values(child)


def _parsed(content: bytes) -> _Element:
    if len(content) > MAX_FILE_BYTES:
        raise _NotReadError(f"{len(content)} octets, more than {MAX_FILE_BYTES}")
    top = _Element("", {})
    stack = [top]

    def begin(tag: str, attributes: dict[str, str]) -> None:
        if len(stack) > MAX_DEPTH:
            raise _NotReadError(f"elements in more than {MAX_DEPTH} others")
        element = _Element(tag.rpartition(":")[2], attributes)
        stack[-1].children.append(element)
        stack.append(element)

    def end(_tag: str) -> None:
        stack.pop()

    def words(text: str) -> None:
        stack[-1].text += text

    def refuse(*_more: object) -> int:
        raise _NotReadError("a document type or an entity")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.CharacterDataHandler = words
    parser.buffer_text = True
    # Entities grow without bound and read other files; none is needed here.
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    parser.Parse(content, True)  # noqa: FBT003 # expat takes no name for it
    root = top.children[0]
    if root.tag != "beans":
        raise _NotReadError(f"<{root.tag}> instead of <beans>")
    return root
