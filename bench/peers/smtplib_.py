"""This room sends with the standard library's smtplib, inside the caller, as many programs do.

Option `keeps`: `kept` leaves the connection open, `each` opens one per mail.
"""

import smtplib
import sys

from bench import mails, order


def main() -> None:
    """Do what the order says."""
    wanted = order.read(sys.argv)
    order.serve(wanted, _kept(wanted) if wanted.option("keeps") == "kept" else _each(wanted))


def _each(wanted: order.Order) -> order.Work:
    def work(numbers: range) -> None:
        for number in numbers:
            with smtplib.SMTP("127.0.0.1", wanted.port) as relay:
                relay.send_message(mails.message(wanted.size, number))

    return work


def _kept(wanted: order.Order) -> order.Work:
    relay = smtplib.SMTP("127.0.0.1", wanted.port)

    def work(numbers: range) -> None:
        for number in numbers:
            relay.send_message(mails.message(wanted.size, number))

    return work


if __name__ == "__main__":
    main()
