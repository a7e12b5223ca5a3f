"""This room runs Postfix's smtp-source: a C program that sends one mail again and again.

It has no queue and composes nothing, so it is the raw limit of a client that does not pipeline.
"""

import subprocess
import sys

from bench import mails, order

# Its mails are filled up to this size; the other peers' small and large mails weigh as much.
BYTES = {"small": 2_100, "large": 15_500}


def main() -> None:
    """Do what the order says."""
    wanted = order.read(sys.argv)

    def work(numbers: range) -> None:
        # Without -d it would connect for every mail.
        subprocess.run(
            [
                "smtp-source", "-d", "-4",
                "-s", str(min(wanted.connections, len(numbers))), "-m", str(len(numbers)),
                "-l", str(BYTES[wanted.size]),
                "-f", mails.SENDER, "-t", mails.recipient(0), f"127.0.0.1:{wanted.port}",
            ],
            check=True,
        )  # fmt: skip

    order.serve(wanted, work)


if __name__ == "__main__":
    main()
