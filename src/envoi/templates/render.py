"""This room renders: a template, a locale and plain data become the words of a message."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jinja2 import Template

from envoi.core.event import cleaned
from envoi.core.kind import Kind, Plain, clean_line, mask_facts
from envoi.core.links import with_base_url
from envoi.core.message import Audible, Block, Context, Identity, Words
from envoi.core.message import context as context_of
from envoi.core.people import Address, Mailbox, Person
from envoi.core.plaintext import text_of_html
from envoi.core.routing import Because, Why
from envoi.errors import TemplateError
from envoi.templates import filters
from envoi.templates.catalogue import HTML, PARTS, SHIPPED, SUBJECT, TEXT, Catalogue
from envoi.templates.faults import COMPILE_FAILURES, RENDER_FAILURES, told
from envoi.templates.languages import Language, load_language, read_locale
from envoi.templates.sandbox import (
    MAX_OUTPUT_CHARS,
    MAX_STEPS,
    Phrase,
    Sandbox,
    TemplateLoader,
    plain_table,
)
from envoi.templates.styles import Inliner

# The place in a layout where the personal block goes; facts cannot forge it, they are escaped.
PERSONAL_MARK = "<!--envoi:personal-->"
LAYOUT = "layout.html"
# Languages are kept by the name that a profile holds, and profiles hold anything.
MAX_LANGUAGES = 1_000
MAX_BLOCKS = 10_000
PERSONAL_TEXT, PERSONAL_HTML = "personal.txt", "personal.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """The compiled parts of one template in one language."""

    subject: Template
    text: Template | None
    html: Template | None


class Desk(threading.local):
    """What the thread that renders needs beside the data: language, zone and base of links."""

    language: Language
    zone: tzinfo = UTC
    root: str = ""


class Templates:
    """Implements `seams.Renderer` over a catalogue's folders.

    Files are read at their first use and kept; a process that shall see an edit starts anew.

    Args:
        catalogue: Where kinds and templates lie.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        """Compile nothing yet."""
        self._catalogue = catalogue
        self._desk = Desk()
        self._inline = Inliner()
        self._reset()

    def render(self, template: str, locale: str, time_zone: str, context: Context) -> Words:
        """Return the words of a template.

        Args:
            template: Its name, e.g. `pull_request`.
            locale: Of the readers; where no words of it exist, English.
            time_zone: IANA name; one that nobody knows is UTC.
            context: Plain data.

        Raises:
            TemplateError: It is missing or does not render; names file and line.
        """
        language = self._open_desk(locale, time_zone, context)
        script = self._script(template, language)
        data = {**plain_table(context), "lang": language.tag, "direction": language.direction}
        # The subject first: the layout shows it as the document's title.
        subject = clean_line(self._written(script.subject, data))
        data["subject_line"] = subject
        html = self._inlined(self._written(script.html, data)) if script.html else ""
        text = self._written(script.text, data) if script.text else ""
        text = text.strip("\n").rstrip() or text_of_html(html)
        if not text:
            raise TemplateError(f"{template}: expected words, got an empty mail")
        return Words(subject=subject, text=f"{text}\n", html=html)

    def block(self, because: Because, locale: str, context: Context) -> Block:
        """Return the personal block of a reason: one sentence, as text and as HTML.

        It depends on the reason, the kind, the locale and the application alone, so that each is
        written once. A folder's own `personal.txt` that does not render is passed over for the
        shipped one, because a mail must not wait for its small print; `prove` tells of it.
        """
        held_back = cast("Mapping[str, Plain]", context.get("held_back") or {})
        language = self._open_desk(locale, str(held_back.get("zone") or "UTC"), context)
        name = _of_application(context, "name")
        kind = str(context.get("kind") or "")
        key = (because.stored, kind, language.tag, name, self._desk.root, str(held_back))
        block = self._blocks.get(key)
        if block is None:
            try:
                block = self._block(because, kind, name, language, held_back=held_back)
            except TemplateError:
                block = self._block(
                    because, kind, name, language, folder=f"{SHIPPED}/", held_back=held_back
                )
            if len(self._blocks) < MAX_BLOCKS and not held_back.get("count"):
                self._blocks[key] = block
        return block

    def prove(
        self,
        kind: str,
        locale: str = "en",
        time_zone: str = "UTC",
        identity: Identity | None = None,
        template: str = "",
    ) -> Words:
        """Return the words of a kind's sample, having rendered its other two forms as well.

        The other forms are those that a sample does not show: secrets masked, as the log has
        them, and every optional fact left out.

        Args:
            kind: Whose sample.
            locale: Of the reader.
            time_zone: Of the reader.
            identity: Who speaks; None: somebody made up.
            template: Which one a sender uses for the kind; empty: the kind's own.

        Raises:
            TemplateError: One of the three, or a personal block, does not render, or a
                translation of the locale cannot be used.
        """
        found = self._catalogue.kind(kind)
        problems = self._language(locale).problems
        if problems:
            raise TemplateError("\n".join(problems))
        if not found.sample and any(fact.is_required for fact in found.facts.values()):
            raise TemplateError(f"{kind}: expected a sample to render, got a kind without one")
        audible = self._sample(found, identity or _sample_identity())
        facts = with_base_url(found, audible.event.facts, audible.identity.base_url)
        bare = {
            name: value if found.facts[name].is_required else _nothing(value)
            for name, value in facts.items()
        }
        for shown in (mask_facts(found, facts), bare):
            self.render(template or kind, locale, time_zone, context_of(audible, shown))
        for why in Why:
            self._block(Because(why, "example"), kind, audible.identity.name, self._desk.language)
        return self.render(template or kind, locale, time_zone, context_of(audible, facts))

    def sources(self, template: str, locale: str = "en") -> Mapping[str, Path]:
        """Return the file that each part of a template comes from, and the layout's."""
        chain = self._language(locale).chain
        parts = {part: self._catalogue.part(template, part, chain) for part in PARTS}
        files = {**parts, LAYOUT: self._catalogue.find(LAYOUT)}
        return {part: path for part, path in files.items() if path is not None}

    def _block(
        self,
        because: Because,
        kind: str,
        name: str,
        language: Language,
        *,
        folder: str = "",
        held_back: Mapping[str, Plain] = MappingProxyType({}),
    ) -> Block:
        data: dict[str, Plain] = {
            "kind": kind,
            "why": str(because.why),
            "detail": because.detail,
            "held_back": held_back.get("count", 0),
            "held_since": held_back.get("since", 0),
            "application": {"name": name, "base_url": self._desk.root},
            "lang": language.tag,
            "direction": language.direction,
        }
        text = self._written(self._named(folder + PERSONAL_TEXT), data).strip()
        data["sentence"] = text
        html = self._written(self._named(folder + PERSONAL_HTML), data).strip()
        return Block(text=text, html=html)

    def _sample(self, kind: Kind, identity: Identity) -> Audible:
        # Cleaned as an application's event is, or the proof would prove something else.
        event = cleaned(self._catalogue.sample(kind.name), kind)
        actor = Person(id=f"sample:{event.actor}", login=event.actor) if event.actor else None
        return Audible(event=event, kind=kind, actor=actor, identity=identity)

    def _reset(self) -> None:
        self._version = self._catalogue.version
        self._languages: dict[str, Language] = {}
        self._scripts: dict[tuple[str, tuple[str, ...]], Script] = {}
        self._blocks: dict[tuple[str, ...], Block] = {}
        self._sandbox = Sandbox(TemplateLoader(self._catalogue.find))
        self._sandbox.learn(
            filters={
                "shorter": filters.shorter,
                "first_line": filters.first_line,
                "tagged": filters.tagged,
                "wrap": filters.wrap,
                "quote_block": filters.quote_block,
                "breaks": filters.breaks,
                "link": self._link,
                "moment": self._moment,
            },
            tests={"absolute": filters.is_absolute},
            phrases={
                "_": self._phrase("gettext"),
                "gettext": self._phrase("gettext"),
                "ngettext": self._phrase("ngettext"),
                "pgettext": self._phrase("pgettext"),
                "npgettext": self._phrase("npgettext"),
            },
        )

    def _link(self, url: object) -> str:
        return filters.link(url, self._desk.root)

    def _moment(self, at_ms: object) -> str:
        return filters.moment(at_ms, self._desk.language.locale, self._desk.zone)

    def _phrase(self, name: str) -> Phrase:
        # Which language is meant is known only when the phrase is looked up.
        return Phrase(partial(self._look_up, name))

    def _look_up(self, name: str, *args: object) -> str:
        look_up: Callable[..., str] = getattr(self._desk.language.translations, name)
        return look_up(*args)

    def _open_desk(self, locale: str, time_zone: str, context: Context) -> Language:
        if self._version != self._catalogue.version:
            self._reset()
        desk = self._desk
        desk.language = self._language(locale)
        desk.zone = read_zone(time_zone)
        desk.root = _of_application(context, "base_url")
        return desk.language

    def _language(self, name: str) -> Language:
        language = self._languages.get(name)
        if language is None:
            language = load_language(
                read_locale(name), self._catalogue.locale_folders(), self._catalogue.locales()
            )
            if len(self._languages) < MAX_LANGUAGES:
                self._languages[name] = language
        return language

    def _script(self, template: str, language: Language) -> Script:
        # By chain, not by the name in a profile: de-AT and de_AT.UTF-8 are one.
        script = self._scripts.get((template, language.chain))
        if script is None:
            script = self._compiled(template, language)
            self._scripts[template, language.chain] = script
        return script

    def _compiled(self, template: str, language: Language) -> Script:
        subject, text, html = (
            self._part(template, part, language.chain) for part in (SUBJECT, TEXT, HTML)
        )
        if subject is None or (text is None and html is None):
            missing = SUBJECT if subject is None else f"{TEXT} or {HTML}"
            raise TemplateError(f"{template}: expected a {missing}, got none")
        return Script(subject=subject, text=text, html=html)

    def _part(self, template: str, part: str, chain: Iterable[str]) -> Template | None:
        path = self._catalogue.part(template, part, chain)
        if path is None:
            return None
        name = f"{template}/{part}"
        try:
            # Not by the loader: which file it is depends on the locale, its name does not.
            source = path.read_text("utf-8")
            code = self._sandbox.compile(source, name, str(path))
        except COMPILE_FAILURES as err:
            raise told(err, str(path)) from err
        return Template.from_code(self._sandbox, code, self._sandbox.make_globals(None))

    def _named(self, name: str) -> Template:
        try:
            return self._sandbox.get_template(name)
        except COMPILE_FAILURES as err:
            raise told(err, name) from err

    def _written(self, template: Template, data: Mapping[str, Plain]) -> str:
        # Each part has its own budget, so a long text cannot cost the HTML.
        self._sandbox.steps.left = MAX_STEPS
        try:
            return "".join(_bounded(template.generate(data), str(template.filename)))
        except RENDER_FAILURES as err:
            # The chain is cut: the library's message may quote a value, and values are secret.
            raise told(err, str(template.filename), data) from None

    def _inlined(self, html: str) -> str:
        html = html.strip()
        return self._inline(html) if "<style" in html else html


def read_zone(name: str) -> ZoneInfo:
    """Return the zone of an IANA name; UTC for one that nobody knows.

    >>> str(read_zone("Europe/Berlin")), str(read_zone("../../etc/passwd"))
    ('Europe/Berlin', 'UTC')
    """
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return ZoneInfo("UTC")


def _of_application(context: Context, name: str) -> str:
    application = context.get("application")
    if not isinstance(application, Mapping):
        return ""
    return str(cast("Mapping[str, object]", application).get(name) or "")


def _bounded(pieces: Iterable[str], file: str) -> Iterator[str]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > MAX_OUTPUT_CHARS:
            raise TemplateError(f"{file}: expected at most {MAX_OUTPUT_CHARS} characters")
        yield piece


def _sample_identity() -> Identity:
    sender = Mailbox(Address("noreply", "example.org"), "Example")
    return Identity(sender=sender, base_url="https://example.org", name="Example")


def _nothing(value: Plain) -> Plain:
    # What `clean_facts` makes of a fact that was left out.
    if isinstance(value, str):
        return ""
    return [] if isinstance(value, list) else None
