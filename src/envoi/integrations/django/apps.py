"""This room is what `INSTALLED_APPS` loads."""

from functools import cached_property

from django.apps import AppConfig
from django.conf import settings

from envoi.integrations.django.logins import listen
from envoi.integrations.django.process import LABEL, settings_of
from envoi.mailer import Mailer


class EnvoiConfig(AppConfig):
    """Envoi in a Django project."""

    name = "envoi.integrations.django"
    label = LABEL
    verbose_name = "Envoi"

    @cached_property
    def mailer(self) -> Mailer:
        """The process's mailer."""
        return Mailer.from_settings(settings_of(settings))

    def ready(self) -> None:
        """Read the settings now, so that what does not fit is told at start; hear of sign-ins."""
        listen(self.mailer)
