"""This room is the mail call that takes the place of Kallithea's own `send_email`.

It keeps the two promises of `Mailer.notify`: nothing that goes wrong with mail reaches the caller,
and he never waits for SMTP. In an environment with SQLAlchemy 2 the mail goes into the outbox at
once. Kallithea 0.7 asks for an older one; then it goes into the spool folder, one synced file
each, and `envoi work`, which runs in an environment of its own, takes it in.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import cast

from envoi import forms
from envoi.assembly import identity_of, now_ms
from envoi.core.message import Identity
from envoi.core.ready import READY_KIND
from envoi.errors import EnvoiError, NotFoundError
from envoi.integrations.kallithea.call import Call, read_call
from envoi.integrations.kallithea.door import Door, open_door
from envoi.integrations.kallithea.tokens import masked
from envoi.integrations.kallithea.transaction import Watch
from envoi.journal import Fact, Journal
from envoi.settings import load
from envoi.settings.environment import CONFIG

HOST = "kallithea"
# Where Kallithea's configuration keeps what belongs to `send_email`; no key of its ini is so.
_KEY = "envoi.integrations.kallithea"


class Replacement:
    """Sends what Kallithea composed.

    Args:
        settings: An `envoi.toml` or an ini. Default: the file that `ENVOI_CONFIG` names, else
            the ini with which Kallithea runs.
        application: Which application of the settings speaks. Default: the first.
        deliver: Whether this process also delivers, begun lazily after a fork. Default: no;
            `envoi work` beside Kallithea does.

    Raises:
        SettingsError: Only with `deliver`: the settings do not fit, or this environment cannot
            deliver. Otherwise the log tells it when mail is sent.
    """

    def __init__(
        self,
        settings: str | Path | None = None,
        *,
        application: str = "main",
        deliver: bool = False,
    ) -> None:
        """Watch Kallithea's sessions from now on; open nothing before it is needed."""
        self._path = Path(settings) if settings else None
        self._application = application
        self._journal = Journal()
        self._watch = Watch()
        self._watch.begin()
        self._lock = Lock()
        self._desk: _Desk | None = None
        self._is_delivering = deliver
        if deliver:
            self._opened()

    def send_email(
        self,
        recipients: object,
        subject: object,
        body: object = "",
        html_body: object = "",
        headers: object = None,
        from_name: object = None,
    ) -> None:
        """Hand over one mail, as Kallithea's own function does; never raises, never waits.

        Args:
            recipients: List of addresses. Empty: the administrators and `email_to`, one mail
                each. Some that cannot be used are left out with a line in the log.
            subject: One line, without the prefix.
            body: Plain part.
            html_body: HTML part; empty for text-only mail.
            headers: Further header lines; `References` names the conversation. Those that Envoi
                writes itself are ignored with a line in the log. Never changed.
            from_name: Name of who caused the mail, shown with the configured address.
        """
        call = Call(
            recipients=recipients,
            subject=subject,
            body=body,
            html_body=html_body,
            headers=headers,
            from_name=from_name,
        )
        try:
            self._take(call)
        except Exception as err:  # noqa: BLE001 # the caller's own action must not fail
            self._lose(call, err)

    def close(self) -> None:
        """Stop delivering and close every connection; the next mail opens them again."""
        with self._lock:
            desk, self._desk = self._desk, None
        if desk is not None:
            desk.door.close()

    def _take(self, call: Call) -> None:
        desk = self._opened()
        read = read_call(call, desk.identity, self._application, now_ms())
        mail = forms.checked_mail(read.mail)
        for doubt in read.doubts:
            self._journal.note(
                doubt.fact, what=doubt.what, subject=mail.shown_subject, because=doubt.because
            )
        desk.door.take(mail, self._watch.writing_session())

    def _lose(self, call: Call, err: Exception) -> None:
        because = str(err) if isinstance(err, EnvoiError) else f"{type(err).__name__}: {err}"
        subject = masked(repr(call.subject))
        self._journal.note(Fact.EVENT_NOT_STORED, kind=READY_KIND, because=because, facts=subject)

    def _opened(self) -> "_Desk":
        # Two threads may send the first mail at the same moment.
        with self._lock:
            if self._desk is None:
                desk = self._open()
                if self._is_delivering:
                    desk.door.start()
                self._desk = desk
            return self._desk

    def _open(self) -> "_Desk":
        settings = load(self._path or _file_of_host(), os.environ)
        application = settings.applications.get(self._application)
        if application is None:
            known = ", ".join(settings.applications)
            raise NotFoundError(f"application: expected one of {known}, got {self._application!r}")
        door = open_door(settings, self._journal)
        return _Desk(identity=identity_of(application), door=door)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Desk:
    """What the settings opened: how the application presents itself, and where its mail goes."""

    identity: Identity
    door: Door


def send_email(
    recipients: object,
    subject: object,
    body: object = "",
    html_body: object = "",
    headers: object = None,
    from_name: object = None,
) -> None:
    """Hand over one mail by the settings of the Kallithea that runs in this process.

    For a caller that keeps no `Replacement`; the arguments are those of its method. Kallithea's
    configuration keeps the one that belongs to it.
    """
    replacement = _of_host()
    if replacement is None:
        because = "Kallithea does not run in this process, so nobody knows by which settings"
        subject = masked(repr(subject))
        Journal().note(Fact.EVENT_NOT_STORED, kind=READY_KIND, because=because, facts=subject)
        return
    replacement.send_email(recipients, subject, body, html_body, headers, from_name)


def _of_host() -> Replacement | None:
    config = _config_of_host()
    if config is None:
        return None
    # One for all threads: the first that comes is kept.
    return cast("Replacement", config.get(_KEY) or config.setdefault(_KEY, Replacement()))


def _config_of_host() -> dict[str, object] | None:
    config = getattr(sys.modules.get(HOST), "CONFIG", None)
    return cast("dict[str, object]", config) if isinstance(config, dict) else None


def _file_of_host() -> Path | None:
    if os.environ.get(CONFIG):
        return None  # `load` reads the file that it names
    file = (_config_of_host() or {}).get("__file__")
    return Path(str(file)) if file else None
