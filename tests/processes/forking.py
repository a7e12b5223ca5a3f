"""A program that forks while its mailer delivers; parent and child go on handing over mail."""

import os
import sys
import threading

from envoi import Mailbox, Mailer, ReadyMail
from envoi.addresses import parse_address

ROUNDS = 5


def send(mailer: Mailer, name: str) -> None:
    """Hand over one mail."""
    box = Mailbox(parse_address(f"{name}@x.test"))
    mailer.send(ReadyMail(to=(box,), subject="Hi", text="Hello"), strict=True)


def leftovers() -> list[str]:
    """Threads of ours that a stop must not leave behind; a cancelled timer may take a moment."""
    found = [each for each in threading.enumerate() if each.name.startswith("envoi")]
    for thread in found:
        thread.join(5)
    return [each.name for each in found if each.is_alive()]


def main() -> None:
    """Fork again and again; every process stops cleanly."""
    mailer = Mailer.from_file(os.environ["ENVOI_CONFIG"])
    mailer.start()
    children = []
    for number in range(ROUNDS):
        send(mailer, f"parent{number}")
        child = os.fork()
        if child == 0:
            send(mailer, f"child{number}")
            mailer.close()
            os._exit(len(leftovers()))
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    mailer.stop()
    # Begun again after a stop.
    mailer.start()
    send(mailer, "again")
    print("codes", codes, flush=True)  # noqa: T201 # what the test reads
    sys.stdin.readline()
    mailer.close()


if __name__ == "__main__":
    main()
