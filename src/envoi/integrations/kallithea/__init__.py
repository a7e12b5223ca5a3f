"""This room sends a running Kallithea's application mail through Envoi, its code unchanged.

Three lines in its `extensions.py`:

    from kallithea.model import notification
    from envoi.integrations.kallithea import Replacement
    notification.send_email = Replacement().send_email

Nothing of Kallithea is imported here; what it has loaded is looked up when mail is sent.
"""

from envoi.integrations.kallithea.replacement import Replacement, send_email

__all__ = ["Replacement", "send_email"]
