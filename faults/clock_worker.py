"""This room is a worker by a clock of its own: `envoi work`, with a file that says how wrong."""

import os
import signal
import sys
from pathlib import Path
from threading import Event as Flag
from types import FrameType

from envoi.assembly import Parts, now_ms
from envoi.cli.logs import LogLevel, set_up
from envoi.journal import Journal
from envoi.mailer import Mailer
from envoi.settings import load


def main() -> None:
    """Deliver until SIGTERM."""
    set_up(LogLevel.INFO)
    ahead = Path(sys.argv[1])
    flag = Flag()

    def clock() -> int:
        return now_ms() + int(ahead.read_text("utf-8"))

    settings = load(Path("envoi.toml"), os.environ)
    mailer = Mailer(Parts(settings, Journal(), clock))
    worker = mailer.make_worker()

    def stop(_number: int, _frame: FrameType | None) -> None:
        flag.set()

    signal.signal(signal.SIGTERM, stop)
    worker.run(flag.is_set)
    mailer.close()


if __name__ == "__main__":
    main()
