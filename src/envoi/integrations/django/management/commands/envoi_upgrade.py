"""This room is `manage.py envoi_upgrade`: the outbox's tables."""

from typing import TextIO, cast

from django.core.management.base import BaseCommand

from envoi.integrations.django.process import mailer


class Command(BaseCommand):
    """Make the outbox's tables, or bring them up to date."""

    help = "Make the outbox's tables, or bring them up to date."

    def handle(self, *_words: object, **_options: object) -> None:
        """Do it, and say so."""
        mailer().outbox.upgrade()
        cast("TextIO", self.stdout).write("the outbox is up to date")
