"""This room is many callers at once, each waiting until its mail is stored; nobody delivers.

Option `callers`: how many threads call `Mailer.send`, one mail per durable transaction.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

from bench import envoi_outbox, order


def main() -> None:
    """Do what the order says."""
    wanted = order.read(sys.argv)
    callers = int(wanted.option("callers"))
    with envoi_outbox.opened(wanted) as mailer, ThreadPoolExecutor(callers) as pool:

        def store(number: int) -> None:
            mailer.send(envoi_outbox.ready_mail(number, wanted.size), strict=True)

        def work(numbers: range) -> order.Told:
            began_s = time.perf_counter()
            list(pool.map(store, numbers))
            stored_s = time.perf_counter() - began_s
            return {"stored_s": stored_s, "stored_per_s": len(numbers) / stored_s}

        order.serve(wanted, work, envoi_outbox.servers(wanted))


if __name__ == "__main__":
    main()
