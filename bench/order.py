"""This room is what a measured program and the one that measures it say to each other.

The program gets its order as JSON, sends the mails of the warm-up, says `ready`, and works each
time it reads `go`; anything else ends it. Standard library only, as `mails`.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeAlias

# What a program tells after its work: figures by name.
Told: TypeAlias = Mapping[str, object]
# Hands over the mails with these numbers; may tell figures.
Work: TypeAlias = Callable[[range], Told | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a program is to do.

    Args:
        port: Of the relay, on 127.0.0.1.
        count: How many mails are measured.
        warm: How many go before.
        size: `small` or `large`.
        folder: Empty, for whatever it keeps.
        connections: How many connections it may have open, where it has a choice.
        options: What else, by name; each program names its own.
    """

    port: int
    count: int
    warm: int
    size: str
    folder: str
    connections: int = 10
    options: Mapping[str, object] = field(default_factory=dict[str, object])

    @property
    def place(self) -> Path:
        """The folder."""
        return Path(self.folder)

    def option(self, name: str) -> str:
        """Return an option as text; empty when it is not given."""
        return str(self.options.get(name, ""))

    def as_json(self) -> str:
        """Return the form that `read` takes."""
        return json.dumps(asdict(self))


def read(argv: Sequence[str]) -> Order:
    """Return the order that a program was started with."""
    return Order(**json.loads(argv[1]))


def serve(order: Order, work: Work, ready: Told | None = None) -> None:
    """Warm up, say that all is ready, and work when told to.

    Args:
        order: As read.
        work: What it does.
        ready: What to tell with `ready`, e.g. the process ids of servers.
    """
    if order.warm:
        work(range(order.warm))
    _say("ready", ready)
    first = order.warm
    for line in sys.stdin:
        if line != "go\n":
            return
        told = work(range(first, first + order.count))
        first += order.count
        _say("done", told)


def _say(word: str, told: Told | None) -> None:
    print(word, json.dumps(told or {}), flush=True)
