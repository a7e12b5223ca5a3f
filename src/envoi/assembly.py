"""This room puts the rooms together: one `Parts` per settings, opened when first used."""

import importlib
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from envoi.breakdown import Breakdown
from envoi.core.beanrules import MASTER_SWITCH, PREFIXES
from envoi.core.beans import without_taken
from envoi.core.delivery import Patience
from envoi.core.kind import Kind, MailClass, Plain
from envoi.core.message import Identity
from envoi.core.people import Address
from envoi.core.problem import Problem
from envoi.core.routing import Sender
from envoi.core.rules import merged, read_senders
from envoi.directory.configured import users_source_of
from envoi.directory.own import OwnDirectory
from envoi.directory.source import Source
from envoi.errors import NotFoundError, OutboxError, SettingsError
from envoi.journal import Fact, Journal
from envoi.outbox import tokens
from envoi.outbox.put import fresh_uid
from envoi.outbox.spool import Spool
from envoi.outbox.store import Outbox, open_outbox
from envoi.relays import DEFAULT, Relays
from envoi.seams import Directory, Tx
from envoi.senderfiles import FOLDER, SenderFiles
from envoi.settings import Application, DeliverySettings, Settings
from envoi.templates.catalogue import Catalogue
from envoi.templates.render import Templates


def now_ms() -> int:
    """Return the wall clock in milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


class Parts:
    """Everything one outbox's mailer and worker are made of.

    Args:
        settings: Checked settings.
        journal: Where facts go.
        clock: Milliseconds since 1970 UTC; tests bring their own.
    """

    def __init__(
        self, settings: Settings, journal: Journal, clock: Callable[[], int] = now_ms
    ) -> None:
        """Build the rooms; no file and no database is opened yet but the templates' folders."""
        self.settings = settings
        self.journal = journal
        self.breakdown = Breakdown(journal)
        self.clock = clock
        self.catalogue = Catalogue.shipped(settings.templates.folders)
        for kind in kinds_of(settings.templates.modules, settings.folder):
            self.catalogue.add(kind)
        self.templates = Templates(self.catalogue)
        self.patience = patience_of(settings.delivery)
        self.relays = Relays(settings, self._tokens_of)
        # Before the outbox: at a fork the gates close in the reverse order, and while the
        # outbox's waits for a transaction to end, that one may still have to ask who exists.
        self.users_source = users_source_of(settings)
        self.outbox: Outbox = open_outbox(
            settings.outbox.url,
            schema=settings.outbox.schema,
            busy_timeout_ms=int(settings.outbox.busy_timeout_s * 1000),
            journal=journal,
            patience=self.patience,
        )
        self.spool = Spool(
            settings.outbox.spool, max_bytes=settings.outbox.spool_max_mb * 1024 * 1024
        )
        self._directories: dict[str, Directory] = {}
        self._identities: dict[str, Identity] = {}
        self.sender_files = SenderFiles(settings.folder / FOLDER)
        self._senders: tuple[object, tuple[Sender, ...]] | None = None

    def close(self) -> None:
        """Close every database connection; a later use opens new ones."""
        self.outbox.close()
        if self.users_source is not None:
            self.users_source.close()

    def fresh_uid(self) -> str:
        """Return 32 hexadecimal digits that nobody has used before."""
        return fresh_uid(self.clock())

    def directory(self, application: str) -> Directory:
        """Return who exists for an application."""
        known = self._directories.get(application)
        if known is None:
            admins = self._application(application).admins
            known = directory_of(application, admins, self.users_source)
            self._directories[application] = known
        return known

    def identity(self, application: str) -> Identity:
        """Return how an application presents itself in its mail."""
        known = self._identities.get(application)
        if known is None:
            known = self._identities[application] = identity_of(self._application(application))
        return known

    def _application(self, name: str) -> Application:
        # An event that waits to be routed may be of an application that left the settings.
        known = self.settings.applications.get(name)
        if known is None:
            raise NotFoundError(f"application {name!r}: expected it in the settings, found none")
        return known

    def sender_tables(self) -> tuple[tuple[Sender, ...], tuple[Problem, ...]]:
        """Return the senders as the files define them, and what is wrong with the others."""
        shipped = self.catalogue.sender_tables()
        copied = without_taken(self.sender_files.read(), shipped)
        # Who runs OMERO finds these mails by the prefix that they always had.
        is_omero = MASTER_SWITCH in self.settings.origin_of("delivery.enabled")
        prefixes: Mapping[str, Mapping[str, Plain]] = PREFIXES if is_omero else {}
        layers = (shipped, prefixes, copied.tables, self.settings.senders)
        senders, problems = read_senders(merged(layers), self.catalogue.kinds())
        problems = (*copied.problems, *problems)
        known = self.relays.names
        astray = [sender for sender in senders if sender.transport not in known]
        problems += tuple(
            Problem(
                where=f"senders.{sender.name}.transport",
                expected=f"one of {', '.join(known)}",
                got=repr(sender.transport),
            )
            for sender in astray
        )
        return tuple(sender for sender in senders if sender not in astray), problems

    def senders(self, tx: Tx) -> tuple[Sender, ...]:
        """Return the senders with the switches of the database, fresh after every change."""
        version = (
            self.outbox.switches_version(tx),
            self.catalogue.version,
            self.sender_files.stamp(),
        )
        known = self._senders
        if known is None or known[0] != version:
            defined, problems = self.sender_tables()
            for problem in problems:
                self.journal.note(Fact.SENDER_BROKEN, because=problem)
            switched = switched_senders(defined, self.outbox.switches(tx))
            if not self.settings.delivery.enabled:
                switched = silenced(switched, self.catalogue.sender_tables())
            known = self._senders = (version, switched)
        return known[1]

    def _tokens_of(self, relay: str) -> "_KeptTokens":
        return _KeptTokens(self, relay)

    @property
    def way_out(self) -> str:
        """What carries mail that names no relay, as people are told of it; empty: nothing."""
        return self.relays.where()

    @property
    def why_held(self) -> str:
        """Why mail that names no relay stays here; empty when it leaves."""
        return self.why_held_at(DEFAULT)

    def why_held_at(self, relay: str) -> str:
        """Return why mail of a relay stays here: none, or the master switch; empty: it leaves."""
        if not self.settings.delivery.enabled:
            return "delivery.enabled is false"
        key = "smtp.host" if relay == DEFAULT else f"relays.{relay}.host"
        return "" if self.relays.where(relay) else f"{key} is not set"

    def relay_of(self, application: str, named: str = DEFAULT, *, to_many: bool = False) -> str:
        """Return the relay that a mail leaves by.

        Args:
            application: Whose mail it is.
            named: What its sender names; `default`: what the application says.
            to_many: Whether it is a broadcast.
        """
        if named != DEFAULT:
            return named
        own = self._application(application)
        return own.broadcast_relay if to_many and own.broadcast_relay else own.relay

    def has_relay(self, tx: Tx, relay: str = DEFAULT) -> bool:
        """Whether mail of a relay can leave: there is one, or somebody captures it right now."""
        if self.relays.where(relay):
            return True
        return self.outbox.is_captured(tx, self.clock(), self.settings.delivery.lease_s * 1000)


class _KeptTokens:
    """The refresh token of one relay, in the outbox."""

    def __init__(self, parts: Parts, relay: str) -> None:
        self._parts = parts
        self._relay = relay

    def kept(self, seed: str) -> str:
        """Return what was given in exchange for the one with this digest; empty: nothing."""
        with suppress(OutboxError), self._parts.outbox.reading() as tx:
            return tokens.kept(tx, self._relay, seed)
        return ""

    def keep(self, seed: str, refresh_token: str) -> None:
        """Keep what was given; where that fails, this process goes on with it nevertheless."""
        try:
            with self._parts.outbox.transaction() as tx:
                tokens.keep(tx, self._relay, seed, refresh_token, self._parts.clock())
        except OutboxError as err:
            self._parts.journal.note(Fact.GRANT_NOT_KEPT, relay=self._relay, because=err)


def assemble(settings: Settings, clock: Callable[[], int] = now_ms) -> Parts:
    """Return the parts that the settings describe."""
    return Parts(settings, Journal(), clock)


def directory_of(
    application: str, admins: tuple[Address, ...], users_source: Source | None
) -> Directory:
    """Return who exists for an application.

    Args:
        application: Its name; in our own tables each application has users of its own. The users
            of another system are those of every application in the settings.
        admins: The application's plain addresses of administrators.
        users_source: Where another system keeps the users; None: in our own tables.
    """
    if users_source is None:
        return OwnDirectory(application, admins)
    return users_source.directory(admins)


def silenced(
    senders: tuple[Sender, ...], shipped: Mapping[str, Mapping[str, Plain]]
) -> tuple[Sender, ...]:
    """Return the senders with those off that speak for a server itself.

    Args:
        senders: As the files and the switches have them.
        shipped: The shipped tables. What is off there until somebody activates it, is a notice
            of the server; what the application reports is kept all the same.
    """
    notices = {
        str(table.get("kind")) for table in shipped.values() if table.get("enabled") is False
    }
    return tuple(
        replace(sender, is_enabled=False) if sender.kind in notices else sender
        for sender in senders
    )


def kinds_of(modules: Iterable[str], folder: Path) -> tuple[Kind, ...]:
    """Return the kinds that an application's modules define as `KINDS`.

    Args:
        modules: Dotted names.
        folder: Searched before the places where Python looks anyway.

    Raises:
        SettingsError: A module cannot be imported or has no kinds.
    """
    kinds: list[Kind] = []
    problems: list[Problem] = []
    for name in modules:
        try:
            kinds += _kinds_in(name, folder)
        # SystemExit: a script named by mistake; a module is somebody else's code and may do
        # anything, and none of it is a defect of Envoi.
        except (Exception, SystemExit) as err:  # noqa: BLE001 # see above
            expected = "a module with KINDS, a list of envoi.Kind"
            got = str(err) if isinstance(err, ImportError | ValueError) else repr(err)
            problems.append(Problem(where=f"templates.modules.{name}", expected=expected, got=got))
    if problems:
        raise SettingsError(tuple(problems))
    return tuple(kinds)


def _kinds_in(name: str, folder: Path) -> list[Kind]:
    if str(folder) not in sys.path:
        # A command does not run in the application's folder, the settings file lies there.
        sys.path.insert(0, str(folder))
    found = getattr(importlib.import_module(name), "KINDS", None)
    if not found:
        raise ValueError("one without KINDS")
    kinds = list(found)
    strange = [type(kind).__name__ for kind in kinds if not isinstance(kind, Kind)]
    if strange:
        raise ValueError(f"KINDS that holds {', '.join(strange)}")
    return kinds


def patience_of(delivery: DeliverySettings) -> Patience:
    """Return the limits that the `[delivery]` section sets."""
    return Patience(
        first_retry_ms=delivery.first_retry_s * 1000,
        longest_retry_ms=delivery.longest_retry_s * 1000,
        give_up_after_ms=delivery.give_up_after_s * 1000,
        uncertain_wait_ms=delivery.uncertain_wait_s * 1000,
        hold_uncertain=frozenset(map(MailClass, delivery.hold_uncertain)),
    )


def identity_of(application: Application) -> Identity:
    """Return the identity that an application's settings describe."""
    return Identity(
        sender=application.sender,
        reply_to=application.reply_to,
        prefix=application.prefix,
        base_url=application.base_url,
        type_header=application.type_header,
        type_values=frozenset(application.type_values),
        host=application.host,
        locale=application.locale,
        time_zone=application.time_zone,
        name=application.name,
    )


def switched_senders(
    senders: tuple[Sender, ...], switches: Mapping[str, str]
) -> tuple[Sender, ...]:
    """Return the senders with what the database says about on and off, which wins over files."""
    return tuple(
        replace(sender, is_enabled=switches[f"sender.{sender.name}"] == "on")
        if f"sender.{sender.name}" in switches
        else sender
        for sender in senders
    )
