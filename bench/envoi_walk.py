"""This room is Envoi, from handing over to the relay's answer.

Options: `way` is how mail is handed over; `delivers` who carries it: `beside`, an `envoi work`
that runs all the time, as it is deployed; or `after`, this process once all is stored, as the
peers do that have a command for it; `server` the place of a PostgreSQL, else SQLite.
"""

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial

from bench import envoi_outbox, order
from envoi import Mailer


def main() -> None:
    """Do what the order says."""
    wanted = order.read(sys.argv)
    with (
        envoi_outbox.opened(wanted) as mailer,
        _delivering(wanted, mailer) as (deliver, worker_pid),
    ):
        store = partial(STORES[wanted.option("way")], mailer, wanted.size)

        def work(numbers: range) -> order.Told:
            began_s = time.perf_counter()
            store(numbers)
            stored_s = time.perf_counter() - began_s
            deliver()
            return {"stored_s": stored_s}

        order.serve(wanted, work, envoi_outbox.servers(wanted, worker_pid))
        envoi_outbox.refuse_unsettled(wanted)


@contextmanager
def _delivering(wanted: order.Order, mailer: Mailer) -> Generator[tuple[Callable[[], None], int]]:
    if wanted.option("delivers") == "after":
        worker = mailer.make_worker()
        try:
            yield worker.run_until_idle, 0
        finally:
            worker.drain()
        return
    with envoi_outbox.worker(wanted) as process:
        yield lambda: None, process.pid


def _events(mailer: Mailer, size: str, numbers: range) -> None:
    for number in numbers:
        mailer.notify(envoi_outbox.event(number, size), strict=True)


def _ready(mailer: Mailer, size: str, numbers: range) -> None:
    for number in numbers:
        mailer.send(envoi_outbox.ready_mail(number, size), strict=True)


def _event_batches(mailer: Mailer, size: str, numbers: range) -> None:
    # It stores a hundred per transaction.
    mailer.notify_many((envoi_outbox.event(number, size) for number in numbers), strict=True)


def _ready_batches(mailer: Mailer, size: str, numbers: range) -> None:
    mailer.send_many((envoi_outbox.ready_mail(number, size) for number in numbers), strict=True)


# As mail is handed over: one by one, each in a durable transaction of its own, or a hundred in one.
STORES: dict[str, Callable[[Mailer, str, range], None]] = {
    "events": _events,
    "ready": _ready,
    "event_batches": _event_batches,
    "ready_batches": _ready_batches,
}


if __name__ == "__main__":
    main()
