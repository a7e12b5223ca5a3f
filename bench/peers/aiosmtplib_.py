"""This room sends with aiosmtplib over kept connections, as many at once as the order allows."""

import asyncio
import sys

import aiosmtplib

from bench import mails, order


def main() -> None:
    """Do what the order says."""
    wanted = order.read(sys.argv)
    loop = asyncio.new_event_loop()
    relays = loop.run_until_complete(_connected(wanted))
    order.serve(wanted, lambda numbers: loop.run_until_complete(_send(wanted, relays, numbers)))


async def _connected(wanted: order.Order) -> list[aiosmtplib.SMTP]:
    relays = [
        aiosmtplib.SMTP(hostname="127.0.0.1", port=wanted.port, start_tls=False)
        for _ in range(wanted.connections)
    ]
    await asyncio.gather(*(relay.connect() for relay in relays))
    return relays


async def _send(wanted: order.Order, relays: list[aiosmtplib.SMTP], numbers: range) -> None:
    waiting = iter(numbers)

    async def carry(relay: aiosmtplib.SMTP) -> None:
        for number in waiting:
            await relay.send_message(mails.message(wanted.size, number))

    await asyncio.gather(*(carry(relay) for relay in relays))


if __name__ == "__main__":
    main()
