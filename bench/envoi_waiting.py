"""This room is one mail at a time on an idle system, a worker beside.

Two things are told: how long the caller waits (`notify_us`), also where the relay hangs, and how
long after the commit the relay has said 250 (`sent_ms`), where it does. Between two mails there is
a pause in which everything comes to rest.
"""

import random
import sys
import time
from pathlib import Path
from statistics import median, quantiles

from bench import envoi_outbox, order
from bench.counting_sink import COUNTERS

# A pause never falls in step with anybody's poll.
PAUSE_S = (0.03, 0.15)
LOOK_S = 0.0005
PATIENCE_S = 10.0


def main() -> None:
    """Do what the order says."""
    wanted = order.read(sys.argv)
    with envoi_outbox.opened(wanted) as mailer, envoi_outbox.worker(wanted) as worker:
        dice = random.Random(wanted.count)
        counters = Path(wanted.option("counters"))

        def tell(number: int) -> tuple[float, float]:
            time.sleep(dice.uniform(*PAUSE_S))
            before = _counted(counters)[0]
            began_ns = time.monotonic_ns()
            mailer.notify(envoi_outbox.event(number, wanted.size), strict=True)
            stored_ns = time.monotonic_ns()
            sent_ns = stored_ns if wanted.option("hangs") else _answered(counters, before)
            return (stored_ns - began_ns) / 1_000, (sent_ns - stored_ns) / 1_000_000

        def work(numbers: range) -> order.Told:
            notify_us, sent_ms = zip(*map(tell, numbers), strict=True)
            told = {"notify_us": median(notify_us), "notify_us_95": _late(notify_us)}
            if not wanted.option("hangs"):
                told |= {"sent_ms": median(sent_ms), "sent_ms_95": _late(sent_ms)}
            return told

        order.serve(wanted, work, envoi_outbox.servers(wanted, worker.pid))


def _late(values: tuple[float, ...]) -> float:
    return quantiles(values, n=20)[-1]


def _answered(counters: Path, before: int) -> int:
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        count, _, answered_ns = _counted(counters)
        if count > before:
            return answered_ns
        time.sleep(LOOK_S)
    raise RuntimeError("the mail did not come")


def _counted(counters: Path) -> tuple[int, int, int]:
    count, size_bytes, answered_ns = COUNTERS.unpack(counters.read_bytes())
    return count, size_bytes, answered_ns


if __name__ == "__main__":
    main()
