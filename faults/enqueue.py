"""This room is a program that hands over mail one by one and says what it was told is stored.

`python -m faults.enqueue COUNT`: every mail has a key of its own, so that it may begin anew
after it was killed. An address is printed once its transaction is committed.
"""

import sys
from pathlib import Path

from envoi import Mailbox, Mailer, ReadyMail
from envoi.addresses import parse_address


def main() -> None:
    """Hand over mail for `u0@x.test` and so on."""
    mailer = Mailer.from_file(Path("envoi.toml"))
    for number in range(int(sys.argv[1])):
        address = f"u{number}@x.test"
        box = Mailbox(parse_address(address))
        mail = ReadyMail(bcc=(box,), subject="News", text="Something happened.", key=address)
        mailer.send(mail, strict=True)
        print(address, flush=True)
    mailer.close()


if __name__ == "__main__":
    main()
