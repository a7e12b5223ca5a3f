"""This room is what a mail costs when the outbox is full: at 1,000 stored mails and at a million.

An outbox is filled with mail that was delivered. At each size some more mails are handed over and
delivered, in turn with the same in an outbox of 1,000, so that what is told is the size and not
the hour. Option `sizes`: numbers of stored mails, ascending.
"""

import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from statistics import median
from typing import cast

from bench import envoi_outbox, envoi_walk, order
from envoi import Mailer

REFERENCE = 1_000
TIMES = 5
# Stored and delivered by so many, so that the worker never finds a great heap.
PORTION = 5_000


class Grown:
    """An outbox that is filled more and more.

    Args:
        mailer: Of an empty outbox.
        size: `small` or `large` mails.
    """

    def __init__(self, mailer: Mailer, size: str) -> None:
        """Begin empty."""
        self._store = partial(envoi_walk.STORES["ready_batches"], mailer, size)
        self._worker = mailer.make_worker()
        self.count = 0

    def add(self, count: int) -> float:
        """Hand over so many mails and deliver them; return microseconds per mail."""
        began_s = time.perf_counter()
        for first in range(0, count, PORTION):
            self._store(range(first, min(first + PORTION, count)))
            self._worker.run_until_idle()
        self.count += count
        return (time.perf_counter() - began_s) / count * 1e6

    def close(self) -> None:
        """Let the worker leave."""
        self._worker.drain()


def main() -> None:
    """Do what the order says."""
    wanted = order.read(sys.argv)
    sizes = cast("list[int]", wanted.options["sizes"])
    with ExitStack() as stack:
        full = _outbox(stack, wanted, "full")

        def work(_numbers: range) -> order.Told:
            told: dict[str, float] = {}
            mails = 0
            for size in sizes:
                full.add(size - full.count)
                small = _outbox(stack, wanted, f"small-{size}")
                small.add(REFERENCE)
                pairs = [(small.add(wanted.count), full.add(wanted.count)) for _ in range(TIMES)]
                told[f"us_{size}"] = median(ours for _, ours in pairs)
                told[f"x_{size}"] = median(ours / reference for reference, ours in pairs)
                mails += small.count
            return {**told, "mails": mails + full.count}

        order.serve(wanted, work, envoi_outbox.servers(wanted))


def _outbox(stack: ExitStack, wanted: order.Order, name: str) -> Grown:
    place = wanted.place / name
    place.mkdir()
    mailer = stack.enter_context(envoi_outbox.opened(replace(wanted, folder=str(place))))
    grown = Grown(mailer, wanted.size)
    stack.callback(grown.close)
    return grown


if __name__ == "__main__":
    main()
