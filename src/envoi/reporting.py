"""This room makes reports of errors: what happened, told to the addresses of `errors.to`.

A report walks the way of every event (kind `error_report`), in a transaction of its own: that of
the request is broken, or is the cause. It never raises and never reports itself.
"""

import platform
from collections.abc import Callable
from dataclasses import replace
from threading import BoundedSemaphore, Lock, Thread, local

from envoi.assembly import Parts
from envoi.core.event import Event
from envoi.core.incident import ERROR_KIND, RECIPIENTS, Request, Sighting, event_of
from envoi.core.message import Identity
from envoi.directory.addressed import Addressed
from envoi.seams import Directory
from envoi.witness import Witness

# The request that met an error waits this long for its report to be stored; a database that is
# busy, or is the error, may take far longer.
WAIT_S = 0.02
# More at once are spooled: a thread each, and each may wait for the database.
MAX_UNDER_WAY = 16
# Within this one exception is reported once, whoever hands it over.
REPEATED_MS = 1_000
_MARK = "_envoi_reported_at_ms"


class Reporting:
    """Reports over an application's parts.

    Args:
        parts: The outbox's parts.
    """

    def __init__(self, parts: Parts) -> None:
        """Hold the parts."""
        self._parts = parts
        self._here = local()
        self._room = BoundedSemaphore(MAX_UNDER_WAY)
        self._lock = Lock()
        self._threads: set[Thread] = set()

    @property
    def refusal(self) -> str:
        """Why nobody is told of errors; empty when somebody is."""
        errors = self._parts.settings.errors
        if not errors.enabled:
            return "errors.enabled is false"
        return "" if errors.to else "errors.to names nobody"

    @property
    def is_under_way(self) -> bool:
        """Whether this thread is making a report: what fails in it is not reported."""
        return getattr(self._here, "is_under_way", False)

    def __enter__(self) -> None:
        """Begin a report in this thread."""
        self._here.is_under_way = True

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._here.is_under_way = False

    def hand_over(self, keep: Callable[[], None], wait_s: float) -> bool:
        """Run what stores a report in a thread of its own; whether it was begun.

        The process does not end before it is done.

        Args:
            keep: Raises nothing.
            wait_s: How long to wait for its end.
        """
        if not self._room.acquire(blocking=False):
            return False
        thread = Thread(target=self._run, args=(keep,), name="envoi-report")
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending, or no thread is to be had
            self._run(keep)
            return True
        with self._lock:
            self._threads = {one for one in self._threads if one.is_alive()} | {thread}
        thread.join(wait_s)
        return True

    def finish(self) -> None:
        """Wait until every report that is under way is stored."""
        with self._lock:
            threads, self._threads = self._threads, set()
        for thread in threads:
            thread.join()

    def _run(self, keep: Callable[[], None]) -> None:
        try:
            with self:
                keep()
        finally:
            self._room.release()

    def is_repeated(self, error: BaseException) -> bool:
        """Whether somebody reported this very exception a moment ago, and note that it is now.

        A framework logs what a middleware sees as well. Not for ever: some programs raise one
        object again and again.
        """
        marks: dict[str, object] = vars(error)
        before, now_ms = marks.get(_MARK), self._parts.clock()
        marks[_MARK] = now_ms
        return isinstance(before, int) and abs(now_ms - before) < REPEATED_MS

    def event(
        self, error: BaseException, request: Request | None, application: str, release: str
    ) -> Event:
        """Return the event that an error is.

        Args:
            error: As it was caught.
            request: The request that met it, if any.
            application: Whose error.
            release: Its version.
        """
        errors = self._parts.settings.errors
        witness = Witness(
            error,
            request.known if request else (),
            variables_of=errors.dump_local_frames_count if errors.dump_local_frames else 0,
        )
        size = errors.dump_request_size if errors.dump_request else 0
        sighting = Sighting(
            raised=witness.look(),
            request=request.scrubbed(witness.scrubber, max_chars=size) if request else None,
            host=platform.node(),
            release=release,
            at_ms=self._parts.clock(),
            application=application,
        )
        return event_of(sighting, [str(address) for address in self._parts.settings.errors.to])


def directory_for(parts: Parts, event: Event) -> Directory:
    """Return who is asked for the people of an event; of an error, its plain addresses first."""
    directory = parts.directory(event.application)
    return Addressed(directory, RECIPIENTS) if event.kind == ERROR_KIND else directory


def identity_for(parts: Parts, application: str, kind: str) -> Identity:
    """Return how an application presents itself in mail of a kind; of errors, as `[errors]` says.

    Args:
        parts: The outbox's parts.
        application: Its name.
        kind: The kind's name.
    """
    identity = parts.identity(application)
    if kind != ERROR_KIND:
        return identity
    errors = parts.settings.errors
    return replace(identity, sender=errors.sender or identity.sender, prefix=errors.subject_prefix)
