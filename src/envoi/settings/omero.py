"""This room works out what OMERO's properties mean here.

They stand in `envoi.toml` by their own names: as `[omero]` with the whole name in quotes, as
`envoi config set` writes it, or as dotted keys. What they decide becomes a value of a key of ours
with its origin; a key of ours that says something else is an error naming both. OMERO's defaults
are in force as soon as one of its mail properties is there, the switch `omero.mail.config` (off)
among them, and give way to every key of ours.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from envoi.core.kind import MASK
from envoi.core.problem import Problem
from envoi.settings import omero_values as values
from envoi.settings.layers import (
    MAIN,
    Demand,
    Layer,
    Raw,
    aliases,
    near_name,
    shown_name,
)
from envoi.settings.omero_expand import Expansion
from envoi.settings.omero_keys import BEAN, BY_NAME, DEPRECATED, PREFIX, ROOT, Seed
from envoi.settings.places import host as usable_host
from envoi.settings.places import is_ip, is_loopback
from envoi.settings.readers import MisfitError
from envoi.settings.secret import shown
from envoi.settings.table import rows_of

MAIL = "omero.mail."
WEB = "omero.web."
SWITCH = "omero.mail.config"
_FROM = "omero.mail.from"
SWITCH_ON = "envoi config set omero.mail.config true"
# Names have five parts at most; whatever is far deeper is none of them.
MAX_DEPTH = 8
_MS_PER_S = 1000


def is_omero(section: str) -> bool:
    """Whether a key at the top of `envoi.toml` is a property of OMERO, or holds some."""
    return section == ROOT or section.startswith(f"{ROOT}.")


def properties_of(tables: Mapping[str, object]) -> tuple[dict[str, object], tuple[str, ...]]:
    """Return OMERO's properties in a settings file by whole name, and the names set twice.

    >>> properties_of({"omero": {"mail": {"host": "a"}, "omero.mail.port": 25}})
    ({'omero.mail.port': 25, 'omero.mail.host': 'a'}, ())
    """
    found: dict[str, object] = {}
    twice: list[str] = []
    for path, value in _placed(tables):
        name = name_at(path)
        if name in found:
            twice.append(name)
        found.setdefault(name, value)
    return found, tuple(twice)


def path_of(tables: Mapping[str, object], name: str) -> tuple[str, ...]:
    """Return where a property stands in a settings file, or where a new one belongs."""
    paths = (path for path, _ in _placed(tables) if name_at(path) == name)
    return next(paths, (ROOT, name))


def name_at(path: tuple[str, ...]) -> str:
    """Return the property's name that these keys of nested tables make.

    >>> name_at(("omero", "mail.host")), name_at(("omero", "omero.mail.host"))
    ('omero.mail.host', 'omero.mail.host')
    """
    # In [omero] the whole name may stand, in quotes or not; its first part is not said twice then.
    if path[0] == ROOT and len(path) > 1 and is_omero(path[1]):
        path = path[1:]
    return ".".join(path)


def _placed(tables: Mapping[str, object]) -> Iterator[tuple[tuple[str, ...], object]]:
    todo: deque[tuple[tuple[str, ...], object]] = deque(
        ((key,), value) for key, value in tables.items() if is_omero(key)
    )
    while todo:
        path, value = todo.popleft()
        if isinstance(value, Mapping) and len(path) < MAX_DEPTH:
            inner = cast("Mapping[str, object]", value)
            todo += (((*path, key), one) for key, one in inner.items())
        else:
            yield path, value


def take_omero(layer: Layer, tables: Mapping[str, object], origin: str) -> None:
    """Take over what the properties of OMERO in a settings file decide.

    Args:
        layer: Where to; holds the file's own keys already.
        tables: The file.
        origin: The file's name.
    """
    found, twice = properties_of(tables)
    for name in twice:
        layer.problems.append(Problem(where=name, expected="the key once", got="it twice"))
    for name in [name for name in found if name not in BY_NAME]:
        layer.problems.append(unknown_property(name))
        del found[name]
    if found:
        _Taking(layer, found, origin).take()


def following_host(groups: dict[str, dict[str, Raw]]) -> dict[str, dict[str, Raw]]:
    """Return the values with OMERO's default sender at the host that the environment may name."""
    sender, host = groups.get(MAIN, {}).get("from"), groups.get("smtp", {}).get("host")
    if sender is None or host is None or sender.origin != _default_of(_FROM):
        return groups
    try:
        domain = _domain(usable_host(str(host.value)))
    except MisfitError:
        return groups  # the host itself is told of
    followed = {**groups[MAIN], "from": replace(sender, value=f"omero@{domain}")}
    return {**groups, MAIN: followed}


def unknown_property(name: str) -> Problem:
    """Return the problem that no property that is known here is called so."""
    if successor := DEPRECATED.get(name):
        hint = f"use {successor}; OMERO ignored this one without a word"
        return Problem(where=name, expected="a key in use", got="a deprecated one", hint=hint)
    # The names mix capitals and small letters: who mistypes only those is near enough.
    folded = {known.casefold(): known for known in BY_NAME}
    near = folded.get(name.casefold()) or near_name(name, BY_NAME)
    hint = f"did you mean {near}?" if near else "only OMERO's keys about mail are read"
    return Problem(where=shown_name(name), expected="a known key", got="an unknown one", hint=hint)


def read_property(seed: Seed, value: object) -> object:
    """Return what a property says.

    Raises:
        MisfitError: It does not fit.
    """
    plain = seed.reader.from_text(value) if isinstance(value, str) else value
    return seed.reader.read(plain, Path())


def property_problem(seed: Seed, value: object, hint: str) -> Problem:
    """Return the problem that a value does not fit its property."""
    got = MASK if seed.is_secret else shown(value)
    return Problem(where=seed.name, expected=seed.reader.expected, got=got, hint=hint)


class _Taking:
    """The properties of one file on their way to a layer."""

    def __init__(self, layer: Layer, given: Mapping[str, object], origin: str) -> None:
        self._layer = layer
        self._given = given
        self._origin = origin
        self._expansion = Expansion(given)
        self._read: dict[str, object] = {}

    def take(self) -> None:
        self._read_all()
        if any(name.startswith(MAIL) for name in self._given):
            self._take_relay()
            self._take_switch()
        self._take_errors()

    def _read_all(self) -> None:
        for name, raw in self._given.items():
            # An empty text is OMERO's way to say "not set".
            if raw == "":
                continue
            seed = BY_NAME[name]
            try:
                self._read[name] = read_property(seed, self._expansion.value(name))
            except MisfitError as err:
                self._layer.problems.append(property_problem(seed, raw, err.hint))

    def _take_switch(self) -> None:
        if SWITCH not in self._given and not self._is_ours("delivery.enabled"):
            expected, hint = "true to send mail", f"`{SWITCH_ON}`"
            problem = Problem(where=SWITCH, expected=expected, got="nothing", hint=hint)
            self._layer.warnings.append(problem)
        self._put_or_default(SWITCH, self._read.get(SWITCH, False))

    def _take_relay(self) -> None:
        self._put_or_default("omero.mail.host", self._read.get("omero.mail.host", "localhost"))
        self._take_port()
        self._take_tls()
        self._take_from()
        for name in ("omero.mail.username", "omero.mail.password"):
            if name in self._read:
                self._put(name, self._given[name] if BY_NAME[name].is_secret else self._read[name])
        for name in ("omero.mail.smtp.connectiontimeout", "omero.mail.smtp.timeout"):
            milliseconds = cast("int", self._read.get(name, BY_NAME[name].default))
            self._put_or_default(name, milliseconds / _MS_PER_S)
        if self._read.get("omero.mail.smtp.debug"):
            hint = "nothing is printed: `envoi check --connect` shows the conversation"
            self._warn("omero.mail.smtp.debug", "false", "true", hint)
        if "omero.mail.bean" in self._read:
            bean = self._read["omero.mail.bean"]
            self._put("omero.mail.bean", "smtp" if bean == BEAN else bean)
        self._demand_sign_in()

    def _take_port(self) -> None:
        own, factory = "omero.mail.port", "omero.mail.smtp.socketFactory.port"
        if own not in self._given and factory in self._given:
            own = factory
        self._put_or_default(own, self._read.get(own, BY_NAME["omero.mail.port"].default))
        if factory in self._read and own != factory:
            self._put(factory, self._read[factory])

    def _take_tls(self) -> None:
        upgrade = "omero.mail.smtp.starttls.enable"
        factory, protocol = "omero.mail.smtp.socketFactory.class", "omero.mail.transport.protocol"
        if self._read.get(factory) == values.TLS_FACTORY:
            self._put(factory, "tls")
        elif self._read.get(protocol) == "smtps":
            self._put(protocol, "tls")
        else:
            self._take_starttls(upgrade)
            return
        if self._read.get(upgrade):
            self._warn(upgrade, "false", "true", "TLS begins with the first byte already")
        fallback = "omero.mail.smtp.socketFactory.fallback"
        if self._read.get(fallback):
            self._warn(fallback, "false", "true", "TLS that fails is not replaced by clear text")

    def _take_starttls(self, name: str) -> None:
        ours = self._group("smtp").get("tls")
        # No STARTTLS: a key of ours that says TLS from the first byte says so too.
        is_alike = ours is not None and ours.value == "tls" and self._read.get(name) is False
        if not is_alike:
            self._put_or_default(name, "starttls" if self._read.get(name) else "none")

    def _take_from(self) -> None:
        name = _FROM
        if name in self._given:
            if name in self._read:
                self._put(name, self._expansion.value(name))
            return
        host = self._group("smtp").get("host")
        text = str(host.value) if host else "localhost"
        if is_ip(text) and not is_loopback(text):
            got = "none, and a host without a name"
            self._warn(name, "an address to send from", got, "mail comes from omero@localhost")
        self._default(name, f"omero@{_domain(text)}")

    def _demand_sign_in(self) -> None:
        auth, user = "omero.mail.smtp.auth", "omero.mail.username"
        if not self._read.get(auth):
            if user in self._read:
                expected = "omero.mail.password beside it"
                problem = Problem(
                    where=user, expected=expected, got="a name alone", hint="nobody signs in"
                )
                self._layer.demands.append(Demand("smtp", "password", problem, "username"))
            return
        for name in ("username", "password"):
            expected = f"omero.mail.{name} beside it"
            problem = Problem(where=auth, expected=expected, got="true without it")
            self._layer.demands.append(Demand("smtp", name, problem))

    def _take_errors(self) -> None:
        if admins := cast("values.Pairs", self._read.get("omero.web.admins", ())):
            self._put("omero.web.admins", [address for _, address in admins])
        name = "omero.web.admins.email_subject_prefix"
        self._put_or_default(name, self._read.get(name, PREFIX))
        name = "omero.web.debug"
        if name in self._read:
            self._put(name, not self._read[name])
        if any(name.startswith(WEB) for name in self._given):
            self._take_broken_links()

    def _take_broken_links(self) -> None:
        name = "omero.web.middleware"
        names = cast("tuple[str, ...]", self._read.get(name, (values.BROKEN_LINKS,)))
        has_links = any(one.rpartition(".")[2] == values.BROKEN_LINKS for one in names)
        self._put_or_default(name, has_links)
        name = "omero.web.django_additional_settings"
        more = dict(cast("tuple[tuple[str, object], ...]", self._read.get(name, ())))
        if ignored := values.ignored_paths(more):
            self._put(name, list(ignored))

    def _put_or_default(self, name: str, value: object) -> None:
        if name in self._read:
            self._put(name, value)
        elif name not in self._given or self._given[name] == "":
            self._default(name, value)

    def _default(self, name: str, value: object) -> None:
        group, key = _place(name)
        if not self._is_ours(BY_NAME[name].target):
            raw = Raw(value=value, where=name, origin=_default_of(name))
            self._layer.add(group, key, raw)

    def _put(self, name: str, value: object) -> None:
        group, key = _place(name)
        raw = Raw(
            value=value,
            where=name,
            origin=f"{self._origin}: {name}",
            source=f"{name} in {self._origin}",
        )
        known = self._group(group)
        other = next((known[alias] for alias in aliases(group, key) if alias in known), None)
        if other is None:
            self._layer.add(group, key, raw)
        elif not _is_same(group, key, other, raw):
            hint = "both decide it: keep one of them"
            expected = f"the same as {other.where} says"
            is_secret = BY_NAME[name].is_secret
            got = "something else" if is_secret else shown(self._read[name])
            problem = Problem(where=name, expected=expected, got=got, hint=hint)
            self._layer.problems.append(problem)

    def _is_ours(self, target: str) -> bool:
        section, _, key = target.partition(".")
        group = MAIN if section == "application" else section
        return any(alias in self._group(group) for alias in aliases(group, key))

    def _group(self, group: str) -> Mapping[str, Raw]:
        return self._layer.groups.get(group, {})

    def _warn(self, where: str, expected: str, got: str, hint: str) -> None:
        problem = Problem(where=where, expected=expected, got=got, hint=hint)
        self._layer.warnings.append(problem)


def _default_of(name: str) -> str:
    return f"OMERO's default of {name}"


def _domain(host: str) -> str:
    # No address may end in a bare IP address; the local name serves a relay right here.
    return "localhost" if is_ip(host) else host


def _place(name: str) -> tuple[str, str]:
    section, _, key = BY_NAME[name].target.partition(".")
    return MAIN if section == "application" else section, key


def _is_same(group: str, key: str, ours: Raw, theirs: Raw) -> bool:
    row = rows_of(group.partition(".")[0])[key]
    # A secret's file is another place, whatever stands in it.
    if ours.where.endswith("_file"):
        return False
    try:
        return row.reader.read(ours.value, Path()) == row.reader.read(theirs.value, Path())
    except MisfitError:
        return True  # ours does not fit, and is told of by itself
