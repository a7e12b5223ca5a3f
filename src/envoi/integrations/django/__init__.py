"""This room joins Django: `"envoi.integrations.django"` in `INSTALLED_APPS`.

    from envoi.integrations.django import INSERT, Watched, mailer, watch

    class ShopConfig(AppConfig):
        def ready(self):
            watch(mailer(), [Watched(Order, people=customer_of)])

The settings are Envoi's own: a dictionary `ENVOI` of its sections, or `ENVOI_CONFIG`, the path of
an `envoi.toml`. A sign-in that is refused becomes an event `failed_login` by itself.
"""

from envoi.integrations.django.objects import Watching, watch
from envoi.integrations.django.process import mailer
from envoi.integrations.objects import DELETE, INSERT, UPDATE, Watched

__all__ = ["DELETE", "INSERT", "UPDATE", "Watched", "Watching", "mailer", "watch"]
