"""This room is what `INSTALLED_APPS` loads."""

from functools import cached_property

from django.apps import AppConfig
from django.conf import settings

from envoi.integrations.django import errors, logins
from envoi.integrations.django.checks import check
from envoi.integrations.django.process import LABEL, settings_of
from envoi.integrations.django.toolkit import register_check
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
        """Read the settings now, so that what does not fit is told at start; hear what happens."""
        logins.listen(self.mailer)
        errors.listen(self.mailer)
        register_check(lambda: check(self.mailer))
