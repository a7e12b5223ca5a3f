"""This room is a program that hands mail in until each is taken, whatever happens meanwhile.

`python -m faults.handing_in ADDRESS...`: each mail has its address as its key, so that trying
again after an unclear end stores it once. An address is printed when it is stored.
"""

import sys
import time
from pathlib import Path

from envoi import Mailbox, Mailer, ReadyMail
from envoi.addresses import parse_address
from envoi.errors import OutboxError

# Between two attempts, while the outbox cannot be reached.
PAUSE_S = 0.05


def main() -> None:
    """Hand in mail for the addresses of the command line."""
    mailer = Mailer.from_file(Path("envoi.toml"))
    for address in sys.argv[1:]:
        hand_in(mailer, address)
        print(address, flush=True)
    mailer.close()


def hand_in(mailer: Mailer, address: str) -> None:
    """Hand in one mail as often as it takes."""
    box = Mailbox(parse_address(address))
    mail = ReadyMail(bcc=(box,), subject="News", text="Something happened.", key=address)
    while True:
        try:
            mailer.send(mail, strict=True)
        except OutboxError as err:
            print(f"again: {err}", file=sys.stderr)
            time.sleep(PAUSE_S)
        else:
            return


if __name__ == "__main__":
    main()
