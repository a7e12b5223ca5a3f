"""This room puts mail elsewhere than to a relay: into a folder of `.eml` files, or into memory.

Same contract as a relay's carrier, `Ready` and `permit` included, so that a worker walks the same
road in development and in tests. Never chosen by itself: only ever when asked for.
"""

import os
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from envoi.core.delivery import Outcome, Reply, Stage, Unreachable, Unsuitable
from envoi.core.people import Address
from envoi.seams import Capabilities, CarrierEvent, Finished, Parcel, Ready, RelayTrouble, RelayWell

# Nothing is on the way that could not take all of it.
_CAPABILITIES = Capabilities(has_pipelining=True, has_8bitmime=True, has_smtputf8=True)
_ROOM = 100
# Letters that no file system and no shell reads as anything else; a slash is lawful in addresses.
_UNSAFE = re.compile(r"[^A-Za-z0-9@._+-]")
_MAX_NAME_CHARS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Caught:
    """A mail with its envelope, instead of in the relay's hands.

    Args:
        delivery_id: Which delivery it was.
        mail_from: Envelope sender; None is the null sender.
        recipient: Envelope recipient.
        raw: The mail as it would have gone, CRLF line ends, not dot-stuffed.
    """

    delivery_id: int
    mail_from: Address | None
    recipient: Address
    raw: bytes


class Shelf(Protocol):
    """Where caught mail is put."""

    name: str

    def put(self, caught: Caught) -> str:
        """Keep a mail; return where it is. Raises OSError when it cannot be kept."""
        ...


class MemoryShelf:
    """Keeps mail in memory, in order of arrival; safe to read from other threads."""

    name = "memory"

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        self._caught: list[Caught] = []

    def put(self, caught: Caught) -> str:
        """Keep a mail; return its number."""
        with self._lock:
            self._caught.append(caught)
            return f"number {len(self._caught)}"

    def all(self) -> tuple[Caught, ...]:
        """Return everything caught so far."""
        with self._lock:
            return tuple(self._caught)

    def clear(self) -> None:
        """Forget everything caught so far."""
        with self._lock:
            self._caught.clear()


class FolderShelf:
    """Keeps each mail as one `.eml` file, its name sorted by time.

    Args:
        folder: Made when missing; nothing is ever written outside it.
        clock_ms: The clock, for names.
    """

    def __init__(self, folder: Path, clock_ms: Callable[[], int]) -> None:
        """Remember the folder; it is made with the first mail."""
        self.name = str(folder)
        self._folder = folder
        self._clock_ms = clock_ms
        self._count = 0

    def put(self, caught: Caught) -> str:
        """Write a mail, whole or not at all; return the file's name."""
        self._folder.mkdir(parents=True, exist_ok=True)
        name = self._name_of(caught)
        part = self._folder / f".{name}.{os.getpid()}.part"
        try:
            # Mail is private: words, names, links that reset passwords.
            with open(part, "wb", opener=_open_private) as file:
                file.write(_trace_of(caught) + caught.raw)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._folder / name)
        finally:
            part.unlink(missing_ok=True)
        return name

    def _name_of(self, caught: Caught) -> str:
        # The count keeps the order within a millisecond, the process id several workers apart.
        self._count += 1
        now = datetime.fromtimestamp(self._clock_ms() / 1000, UTC)
        moment = now.strftime("%Y%m%dT%H%M%S.%f")[:-3] + "Z"
        recipient = _UNSAFE.sub("_", str(caught.recipient))[:_MAX_NAME_CHARS]
        return f"{moment}-{self._count:06d}-{os.getpid()}-{recipient}.eml"


class CaptureCarrier:
    """A carrier that keeps mail on a shelf.

    Args:
        shelf: Where to.
    """

    def __init__(self, shelf: Shelf) -> None:
        """Begin with nothing loaded."""
        self._shelf = shelf
        self._parcels: dict[int, Parcel] = {}
        self._events: list[CarrierEvent] = []
        self._bell = threading.Event()
        self._is_down = False
        self._is_well = False
        self._is_closed = False

    def room(self) -> int:
        """Return how many more parcels can be loaded now."""
        return 0 if self._is_down or self._is_closed else _ROOM - len(self._parcels)

    def load(self, parcel: Parcel) -> None:
        """Take a parcel; it is ready at once."""
        if not self._is_well:
            self._is_well = True
            self._events.append(RelayWell(relay=self._shelf.name))
        self._parcels[parcel.delivery_id] = parcel
        self._events.append(Ready(delivery_id=parcel.delivery_id))

    def permit(self, delivery_ids: Sequence[int]) -> None:
        """Put these on the shelf."""
        for delivery_id in delivery_ids:
            parcel = self._parcels.pop(delivery_id, None)
            if parcel is not None:
                self._events.append(Finished(delivery_id=delivery_id, outcome=self._put(parcel)))
        self._give_back_if_down()

    def withdraw(self, delivery_ids: Sequence[int]) -> None:
        """Drop parcels: they are not put on the shelf, and nothing is told of them."""
        dropped = set(delivery_ids)
        for delivery_id in dropped:
            self._parcels.pop(delivery_id, None)
        self._events = [event for event in self._events if not _is_ready(event, dropped)]

    def turn(self, timeout_s: float) -> Sequence[CarrierEvent]:
        """Return what happened; wait at most `timeout_s` when nothing did."""
        if not self._events:
            self._bell.wait(timeout_s)
        self._bell.clear()
        events, self._events = self._events, []
        return events

    def wake(self) -> None:
        """Make a waiting `turn` return; the only method that other threads may call."""
        self._bell.set()

    def retry_now(self) -> None:
        """Try the shelf again after trouble."""
        self._is_down = False

    def limit_connections(self, connections: int) -> None:
        """Do nothing: there are no connections."""

    def close(self, timeout_s: float) -> Sequence[CarrierEvent]:  # noqa: ARG002 # the contract's
        """Give back what was not permitted; nothing is ever under way, so nothing takes time."""
        self._is_closed = True
        self._give_back("the worker stops")
        return self.turn(0)

    def _put(self, parcel: Parcel) -> Outcome:
        if self._is_down:
            return Unreachable(stage=Stage.CONNECT, because=f"{self._shelf.name} cannot be written")
        try:
            raw = parcel.wire(_CAPABILITIES)
        except (ValueError, LookupError) as err:
            return Unsuitable(because=f"this mail cannot be made: {err}")
        caught = Caught(
            delivery_id=parcel.delivery_id,
            mail_from=parcel.mail_from,
            recipient=parcel.recipient,
            raw=raw,
        )
        try:
            place = self._shelf.put(caught)
        except OSError as err:
            return self._fail(err)
        return Reply(stage=Stage.CONTENT, code=250, text=f"captured as {place}")

    def _fail(self, err: OSError) -> Unreachable:
        because = f"{self._shelf.name} cannot be written: {err.strerror or err}"
        self._is_down, self._is_well = True, False
        self._events.append(
            RelayTrouble(
                stage=Stage.CONNECT,
                because=because,
                advice="make room, or make the folder writable for this user",
            )
        )
        return Unreachable(stage=Stage.CONNECT, because=because)

    def _give_back_if_down(self) -> None:
        if self._is_down:
            self._give_back(f"{self._shelf.name} cannot be written")

    def _give_back(self, because: str) -> None:
        outcome = Unreachable(stage=Stage.CONNECT, because=because)
        self._events.extend(Finished(delivery_id=id_, outcome=outcome) for id_ in self._parcels)
        self._parcels.clear()


def _is_ready(event: CarrierEvent, delivery_ids: set[int]) -> bool:
    return isinstance(event, Ready) and event.delivery_id in delivery_ids


def folder_carrier(folder: Path, clock_ms: Callable[[], int]) -> CaptureCarrier:
    """Return a carrier that writes each mail as a file into the folder."""
    return CaptureCarrier(FolderShelf(folder, clock_ms))


def _trace_of(caught: Caught) -> bytes:
    # What a mail server writes on delivery (RFC 5321 4.4): the only place where the envelope, and
    # with it a blind copy's reader, can be seen.
    trace = f"Return-Path: <{caught.mail_from or ''}>\r\nDelivered-To: {caught.recipient}\r\n"
    return trace.encode()


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
