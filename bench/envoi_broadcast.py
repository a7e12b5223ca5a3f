"""This room is one broadcast of Envoi's to all users of an application, stored and delivered.

The command `envoi admin email` stores it and finds its people; a worker runs beside. The warm-up
is a broadcast to one address. Options: `server` as in `envoi_walk`.
"""

import sys
import time

from bench import envoi_outbox, mails, order

_HTML_CHARS = 6_500


def main() -> None:
    """Do what the order says."""
    wanted = order.read(sys.argv)
    with envoi_outbox.opened(wanted, people=wanted.count), envoi_outbox.worker(wanted) as worker:
        ready = envoi_outbox.servers(wanted, worker.pid)
        order.serve(wanted, lambda numbers: _tell(wanted, numbers), ready)
        envoi_outbox.refuse_unsettled(wanted)


def _tell(wanted: order.Order, numbers: range) -> order.Told:
    began_s = time.perf_counter()
    is_html = ["--html"] if wanted.size == "large" else []
    people = ["--everyone"] if numbers.start else _extra(numbers)
    words = [*people, *is_html, mails.SUBJECT, _body(wanted.size)]
    envoi_outbox.envoi(wanted, "admin", "email", *words)
    return {"stored_s": time.perf_counter() - began_s}


def _body(size: str) -> str:
    said = mails.words(size)
    # The plain part is made from the HTML, and nearly as long.
    return said.html[:_HTML_CHARS] or said.text


def _extra(numbers: range) -> list[str]:
    return [word for number in numbers for word in ("--extra", mails.recipient(-number))]


if __name__ == "__main__":
    main()
