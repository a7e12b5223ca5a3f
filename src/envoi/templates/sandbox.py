"""This room confines templates: plain data in, bounded work, bounded words out.

Templates come from the package and from an operator's folders; both are trusted to mean well and
not to be without mistakes. So the sandbox refuses what would reach Python (D1, D2), the data has
nothing worth calling (D3, D4), and loops, calls and output are counted, so that a slip costs one
mail its layout and not the process its memory (D5, D6).
"""

import re
import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sized
from pathlib import Path
from typing import cast

from jinja2 import BaseLoader, StrictUndefined, TemplateNotFound, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup, escape

from envoi.core.kind import Plain
from envoi.errors import TemplateError

# Far above any mail that somebody reads; far below what hurts a process.
MAX_OUTPUT_CHARS = 1_000_000
# Steps of all loops and calls of one part: 1,000 rows of a few cells and the macros for them.
MAX_STEPS = 100_000
# Facts are flat or lists of flat rows; a deeper value is a mistake or a cycle.
MAX_DEPTH = 8

# `random` would make two renderings differ; `urlize` makes links of names that strangers chose
# (C9); `format`, `center` and `indent` take a width and fill it; the rest prints Python.
_REMOVED_FILTERS = ("random", "urlize", "format", "center", "indent", "pprint", "xmlattr", "attr")
_REMOVED_GLOBALS = ("lipsum",)
_EXACT = frozenset({str, int, bool, float})
_FILLING_METHODS = frozenset({"format", "format_map", "center", "ljust", "rjust", "zfill"})
_WIDTH = re.compile(r"%[^%a-zA-Z]*[0-9*]")
MAX_POWER = 1_000


class Steps(threading.local):
    """Counts the work of the part that this thread renders."""

    left: int = MAX_STEPS

    def take(self, steps: int) -> None:
        """Use up some steps.

        Raises:
            SecurityError: The part has none left.
        """
        # Refused after the fact is early enough: one step is at most one row or call.
        self.left -= steps
        if self.left < 0:
            raise SecurityError(f"more than {MAX_STEPS} steps of loops and calls")


class TemplateLoader(BaseLoader):
    """Finds what templates include, import and extend; sees only what `find` shows.

    `words.html` may be a file `words.txt`: the same macros, compiled with escaping.
    """

    def __init__(self, find: Callable[[str], Path | None]) -> None:
        """Remember where to look."""
        self._find = find

    def get_source(
        self,
        environment: object,  # noqa: ARG002 # the library passes it by name
        template: str,
    ) -> tuple[str, str | None, Callable[[], bool] | None]:
        """Return source and file of a template.

        Raises:
            TemplateNotFound: No folder has it.
        """
        path = self._find(template)
        if path is None and template.endswith(".html"):
            path = self._find(template.removesuffix(".html") + ".txt")
        if path is None:
            raise TemplateNotFound(template)
        return path.read_text("utf-8"), str(path), None


class Phrase:
    """A gettext function as templates call it: looked up, escaped where needed, filled in.

    Args:
        look_up: gettext, ngettext, pgettext or npgettext of the language being written.
    """

    def __init__(self, look_up: Callable[..., str]) -> None:
        """Remember what to ask."""
        self._look_up = look_up

    def __call__(self, eval_ctx: nodes.EvalContext, *args: object, **values: object) -> str:
        """Return the phrase with its values; in HTML they are escaped, the phrase is not."""
        phrase = self._look_up(*args)
        # gettext's own name for the number in a plural.
        if isinstance(args[-1], int):
            values.setdefault("num", args[-1])
        # Translations come from files, as templates do; the values are escaped.
        if not eval_ctx.autoescape:
            return phrase % values if "%" in phrase else phrase
        # As Markup's own % would, which costs 10 µs more: every mail has a dozen phrases.
        return Markup(phrase % {name: _escaped(value) for name, value in values.items()})  # noqa: S704


def _escaped(value: object) -> object:
    return value if type(value) in {int, float} else escape(value)


_OURS = frozenset({Phrase, Macro})


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment in which every template renders."""

    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def __init__(self, loader: BaseLoader) -> None:
        """Set up strict, escaping where the file is HTML."""
        super().__init__(
            loader=loader,
            undefined=StrictUndefined,
            autoescape=_is_escaped,
            extensions=["jinja2.ext.i18n", "jinja2.ext.do"],
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=False,
            auto_reload=False,
        )
        self.policies["ext.i18n.trimmed"] = True
        self.newstyle_gettext = True  # what the i18n extension reads when it compiles `trans`
        self.steps = Steps()
        self.filters["_counted"] = self._counted
        for name in _REMOVED_FILTERS:
            del self.filters[name]
        for name in _REMOVED_GLOBALS:
            del self.globals[name]

    def call(self, context: Context, obj: object, /, *args: object, **kwargs: object) -> object:
        """Call something for a template, as one step."""
        self.steps.take(1)
        if type(obj) in _OURS:
            # Phrases and macros are most of all calls, and known to be safe: 5 µs less for each.
            kwargs.pop("_block_vars", None)
            kwargs.pop("_loop_vars", None)
            return cast("Callable[..., object]", obj)(context.eval_ctx, *args, **kwargs)
        return super().call(context, obj, *args, **kwargs)

    def join_path(self, template: str, parent: str) -> str:
        """Return the name under which one template loads another.

        Raises:
            SecurityError: HTML would take words that nobody escaped: what a `.txt` file includes
                or returns from its macros counts as finished HTML there.
        """
        if _is_escaped(parent) and not _is_escaped(template):
            html = template.removesuffix(".txt") + ".html"
            raise SecurityError(f"an HTML template cannot load {template!r}; load {html!r}")
        return template

    def make_globals(self, d: MutableMapping[str, object] | None) -> MutableMapping[str, object]:
        """Return the globals themselves: no template here brings its own (15 µs a message)."""
        return {**self.globals, **d} if d else self.globals  # pyright: ignore[reportReturnType] # inferred from its defaults

    def learn(
        self,
        filters: Mapping[str, Callable[..., object]],
        tests: Mapping[str, Callable[..., bool]],
        phrases: Mapping[str, Phrase],
    ) -> None:
        """Give templates these filters, tests and gettext functions."""
        self.filters.update(filters)
        cast("dict[str, object]", self.tests).update(tests)
        self.globals.update(phrases)  # pyright: ignore[reportCallIssue, reportArgumentType] # inferred from its defaults

    def call_binop(self, context: Context, operator: str, left: object, right: object) -> object:
        """Work out `+`, `*`, `**` and `%`, refusing what would grow without bound."""
        match operator, left:
            case "+", Sized() if isinstance(right, Sized):
                # Doubling a text in a loop is soon a gigabyte; a hundred characters are a step.
                self.steps.take((len(left) + len(right)) // 100)
            case "%", str() if _WIDTH.search(left):
                raise SecurityError("a width in % fills text; use wrap or shorter")
            case "*", _ if isinstance(left, Sized) or isinstance(right, Sized):
                raise SecurityError("* repeats text; write a loop")
            case "**", _ if max(abs(_number(left)), abs(_number(right))) > MAX_POWER:
                raise SecurityError(f"** takes numbers up to {MAX_POWER}")
            case _:
                pass
        return super().call_binop(context, operator, left, right)

    def is_safe_attribute(self, obj: object, attr: str, value: object) -> bool:
        """Whether a template may read an attribute: no Python, and nothing that fills text."""
        return attr not in _FILLING_METHODS and super().is_safe_attribute(obj, attr, value)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        # Every loop of every template, whatever it goes over, passes the counter first.
        for loop in tree.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, "_counted", [], [], None, None, lineno=loop.lineno)
        return tree

    def _counted(self, items: object) -> object:
        if isinstance(items, Sized):
            self.steps.take(len(items))
            return items
        return self._count_each(cast("Iterator[object]", items))

    def _count_each(self, items: Iterator[object]) -> Iterator[object]:
        for item in items:
            self.steps.take(1)
            yield item


def _is_escaped(name: str | None) -> bool:
    return name is None or not name.endswith(".txt")


def plain_table(table: Mapping[str, object]) -> dict[str, Plain]:
    """Return the table with every value as exact plain data; see `plain`."""
    return {_key(name, "context"): plain(value, name, 1) for name, value in table.items()}


def plain(value: object, where: str = "context", depth: int = 0) -> Plain:
    """Return the value as exact plain data, so that nothing of the application reaches a template.

    Raises:
        TemplateError: Something is no text, number, boolean, None, list or mapping of such.
    """
    if value is None or type(value) in _EXACT:
        return cast("Plain", value)
    if depth > MAX_DEPTH:
        raise TemplateError(f"{where}: expected at most {MAX_DEPTH} levels of lists and tables")
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {_key(key, where): plain(cell, where, depth + 1) for key, cell in items}
    if isinstance(value, list | tuple):
        return [plain(item, where, depth + 1) for item in cast("list[object]", value)]
    return _exact(value, where)


def _exact(value: object, where: str) -> Plain:
    # A subclass may bring methods or, like Markup, pass the escaping; its plain value stays.
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    raise TemplateError(
        f"{where}: expected text, numbers, booleans, lists and tables, got {type(value).__name__}"
    )


def _key(key: object, where: str) -> str:
    if not isinstance(key, str):
        raise TemplateError(f"{where}: expected names as text, got {type(key).__name__}")
    return str.__str__(key)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("inf")
