"""This room is an application that delivers by itself: a mailer with a worker thread, no more."""

import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from envoi import Mailer
from envoi.cli.logs import LogLevel, set_up


def main() -> None:
    """Deliver until SIGTERM."""
    set_up(LogLevel.INFO)
    must_stop = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        must_stop.set()

    signal.signal(signal.SIGTERM, stop)
    mailer = Mailer.from_file(Path("envoi.toml"))
    mailer.start()
    must_stop.wait()
    mailer.close()
    sys.exit(0)


if __name__ == "__main__":
    main()
