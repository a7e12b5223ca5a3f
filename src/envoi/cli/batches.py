"""This room stores many lines of JSON: a hundred per transaction, each line wholly or not at all.

A line that does not fit is told with its number and left out; the others are stored. What is
counted as stored was committed: when the outbox fails, the first line that is not stored is
named, and the same file can be handed in again if its lines have keys.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from envoi.cli.exits import ExitCode
from envoi.cli.screen import Screen
from envoi.cli.typed import counted
from envoi.errors import EnvoiError, InputError, NotStoredError, OutboxError
from envoi.mailer import Receipt, Stored
from envoi.outbox import Outbox

LINES_PER_TRANSACTION = 100
# What a person reads of a wrong file; the count is exact.
MAX_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that was not stored."""

    line: int
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What became of the lines.

    Args:
        stored: New in the outbox.
        repeated: Stored before under the same key.
        deliveries: Of the new ones.
        refused: Lines that were left out.
        stopped: The line at which the outbox failed, and why; None when it did not.
    """

    stored: int = 0
    repeated: int = 0
    deliveries: int = 0
    refused: tuple[Refused, ...] = ()
    stopped: Refused | None = None

    def with_receipts(self, receipts: Iterable[Receipt]) -> "Tally":
        """Return the tally after a commit."""
        tally = self
        for receipt in receipts:
            is_new = receipt.stored is not Stored.REPEATED
            tally = replace(
                tally,
                stored=tally.stored + is_new,
                repeated=tally.repeated + (not is_new),
                deliveries=tally.deliveries + (receipt.deliveries if is_new else 0),
            )
        return tally

    @property
    def lines(self) -> int:
        """How many lines were dealt with."""
        return self.stored + self.repeated + len(self.refused)

    @property
    def code(self) -> ExitCode:
        """How the command ends."""
        if self.stopped:
            return ExitCode.OUTBOX
        return ExitCode.USAGE if self.refused else ExitCode.OK


@dataclass(slots=True)
class Batches(Iterable[Tally]):
    """Lines on their way into the outbox.

    Args:
        outbox: Where to.
        lines: Number and value of each, or the error that reading it made.
        read: Makes a line's value the thing to store; raises `InputError`.
        store: Stores it in the transaction of this connection; raises `EnvoiError`.
    """

    outbox: Outbox
    lines: Iterator[tuple[int, object]]
    read: Callable[[object], object]
    store: Callable[[object, object], Receipt]
    tally: Tally = field(default_factory=Tally)

    def __iter__(self) -> Iterator[Tally]:
        """Store the next hundred; tell after each commit."""
        while self.tally.stopped is None and (chunk := self._chunk()):
            self._put(chunk)
            yield self.tally

    def _chunk(self) -> list[tuple[int, object]]:
        return list(islice(self.lines, LINES_PER_TRANSACTION))

    def _put(self, chunk: list[tuple[int, object]]) -> None:
        # Everything that can be judged without the database is, before its write lock is taken.
        fitting: list[tuple[int, object]] = []
        refused: list[Refused] = []
        for line, value in chunk:
            try:
                fitting.append((line, self._read(value)))
            except InputError as err:
                refused.append(Refused(line, _on_one_line(err)))
        receipts: list[Receipt] = []
        try:
            if fitting:
                with self.outbox.transaction() as tx:
                    for line, thing in fitting:
                        self._store(tx, (line, thing), receipts, refused)
        except OutboxError as err:
            self.tally = replace(self.tally, stopped=Refused(chunk[0][0], _on_one_line(err)))
            return
        self.tally = self.tally.with_receipts(receipts)
        self.tally = replace(self.tally, refused=(*self.tally.refused, *refused))

    def _read(self, value: object) -> object:
        if isinstance(value, InputError):
            raise value
        return self.read(value)

    def _store(
        self,
        connection: object,
        entry: tuple[int, object],
        receipts: list[Receipt],
        refused: list[Refused],
    ) -> None:
        line, thing = entry
        try:
            receipts.append(self.store(thing, connection))
        except NotStoredError as err:
            # The savepoint around this line was undone; only a failing outbox ends the batch.
            if isinstance(err.__cause__, OutboxError):
                raise
            refused.append(Refused(line, _on_one_line(err)))
        except InputError as err:
            refused.append(Refused(line, _on_one_line(err)))


def run(batches: Batches, screen: Screen, words: str) -> Tally:
    """Store all lines, with a progress bar on a terminal."""
    tally = batches.tally
    with screen.progress(words, None) as told:
        for tally in batches:
            told(tally.lines)
    return tally


def tell(screen: Screen, tally: Tally, words: str, *, as_json: bool) -> None:
    """Print what became of the lines."""
    for refused in tally.refused[:MAX_SHOWN]:
        screen.note(f"line {refused.line}: not stored: {refused.because}")
    if len(tally.refused) > MAX_SHOWN:
        screen.note(f"... and {len(tally.refused) - MAX_SHOWN} more")
    if as_json:
        screen.document(_form(tally))
    else:
        screen.line(
            f"{counted(tally.stored, words.removesuffix('s'), words)} stored, "
            f"{tally.repeated} stored before, {len(tally.refused)} not stored; "
            f"{counted(tally.deliveries, 'delivery', 'deliveries')}"
        )
    if tally.stopped:
        screen.note(
            f"error: stopped; from line {tally.stopped.line} on nothing is stored: "
            f"{tally.stopped.because}"
        )


def _form(tally: Tally) -> dict[str, object]:
    stopped = tally.stopped
    return {
        "stored": tally.stored,
        "repeated": tally.repeated,
        "deliveries": tally.deliveries,
        "refused": [{"line": one.line, "because": one.because} for one in tally.refused],
        "stopped": {"line": stopped.line, "because": stopped.because} if stopped else None,
    }


def _on_one_line(err: EnvoiError) -> str:
    return "; ".join(str(err).split("\n"))
