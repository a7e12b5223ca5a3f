"""This room is `manage.py envoi_work`: deliver, by the settings that Django's name."""

import signal
from argparse import ArgumentParser
from types import FrameType

from django.core.management.base import BaseCommand

from envoi.integrations.django.process import mailer


class Stop:
    """Whether a signal asked for the end; the worker looks within a second."""

    def __init__(self) -> None:
        """Go on."""
        self._is_asked = False

    def ask(self, _number: int, _frame: FrameType | None) -> None:
        """Ask; a signal's handler must not wait for a lock, so it only leaves word."""
        self._is_asked = True

    def is_asked(self) -> bool:
        """Whether it is time to end."""
        return self._is_asked


class Command(BaseCommand):
    """Deliver what is in the outbox, until Ctrl-C or SIGTERM."""

    help = "Deliver what is in the outbox, until Ctrl-C or SIGTERM."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add --once."""
        parser.add_argument(
            "--once", action="store_true", help="Deliver everything that is due, then end."
        )

    def handle(self, *_words: object, once: bool, **_options: object) -> None:
        """Deliver; what is under way at the end is finished or given back."""
        worker, stop = mailer().make_worker(), Stop()
        if once:
            try:
                worker.run_until_idle()
            finally:
                worker.drain()
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop.ask)
        worker.run(stop.is_asked)
