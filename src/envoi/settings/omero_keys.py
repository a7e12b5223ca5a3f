"""This room holds the properties of OMERO that concern mail: one row per key.

They stand in `envoi.toml` by their own names, and what they mean here is worked out when the file
is read (`omero.py`). The page "Coming from OMERO" is held equal to this table by a test.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from envoi.settings import omero_values as values
from envoi.settings import places, readers
from envoi.settings.readers import Reader, texts
from envoi.settings.speaking_rows import MAILBOX

ROOT = "omero"
BEAN = "defaultMailSender"
PREFIX = "[OMERO.web - admin notification]"
_TEXT = texts(readers.checked_text, "a text on one line")
_YES_NO = readers.booleans()
_PORT = readers.integers(1, 65535)
# As omero-web ships it, as far as it concerns mail: an entry of its list sends broken links.
_MIDDLEWARE: tuple[object, ...] = (
    {"index": 1, "class": "django.middleware.common.BrokenLinkEmailsMiddleware"},
    {"index": 2, "class": "django.middleware.common.CommonMiddleware"},
)
_NOT_MAIL = "not about mail: not used"


@dataclass(frozen=True, slots=True)
class Seed:
    """What is known about one property.

    Args:
        name: As OMERO has it.
        reader: How a value is read, and what fits.
        target: Dotted name of the key here that it decides; empty when it decides none.
        became: What the page says beside the target.
        default: OMERO's own; may name other properties as `${...}`.
        is_secret: Whether it is masked.
    """

    name: str
    reader: Reader
    target: str = ""
    became: str = ""
    default: object = ""
    is_secret: bool = False


SEEDS: tuple[Seed, ...] = (
    Seed("omero.mail.config", _YES_NO, "delivery.enabled", "really the master switch",
         default=False),
    Seed("omero.mail.from", MAILBOX, "application.from", default="omero@${omero.mail.host}"),
    Seed("omero.mail.host", texts(places.host, "a host name or IP address"), "smtp.host",
         default="localhost"),
    Seed("omero.mail.port", _PORT, "smtp.port", default=25),
    Seed("omero.mail.username", _TEXT, "smtp.username", "without a password nobody signs in"),
    Seed("omero.mail.password", readers.secrets(), "smtp.password", is_secret=True),
    Seed("omero.mail.transport.protocol", readers.one_of(("smtp", "smtps"), {}), "smtp.tls",
         "smtps is TLS from the first byte", default="smtp"),
    Seed("omero.mail.smtp.auth", _YES_NO, "",
         "true: omero.mail.username and omero.mail.password must be set", default=False),
    Seed("omero.mail.smtp.starttls.enable", _YES_NO, "smtp.tls",
         "true is starttls, never less; the certificate and its name are verified",
         default=False),
    Seed("omero.mail.smtp.socketFactory.class",
         texts(values.factory, f"{values.PLAIN_FACTORY} or {values.TLS_FACTORY}"), "smtp.tls",
         f"{values.TLS_FACTORY} is TLS from the first byte, for all mail",
         default=values.PLAIN_FACTORY),
    Seed("omero.mail.smtp.socketFactory.fallback", _YES_NO, "",
         "TLS that fails is never replaced by clear text", default=False),
    Seed("omero.mail.smtp.socketFactory.port", _PORT, "smtp.port", default="${omero.mail.port}"),
    Seed("omero.mail.smtp.connectiontimeout", values.milliseconds(values.LONGEST_CONNECT_MS),
         "smtp.connect_timeout_s", "milliseconds", default=60_000),
    Seed("omero.mail.smtp.timeout", values.milliseconds(values.LONGEST_READ_MS),
         "smtp.command_timeout_s",
         "milliseconds; the wait behind the content is smtp.content_timeout_s", default=60_000),
    Seed("omero.mail.smtp.debug", _YES_NO, "",
         "`envoi check --connect` shows the conversation; every reply is kept with its mail",
         default=False),
    Seed("omero.mail.bean",
         texts(values.bean, f"{BEAN}, an installed transport's name, or module:factory"),
         "transport.default", f"{BEAN} is smtp", default=BEAN),
    Seed("omero.web.admins",
         values.json_lists(values.admin, 'a JSON list of ["Full Name", "address"]'), "errors.to",
         "the addresses", default=values.NOTHING),
    Seed("omero.web.admins.email_subject_prefix", _TEXT, "errors.subject_prefix", default=PREFIX),
    Seed("omero.web.debug", _YES_NO, "errors.enabled", "true: errors are not mailed",
         default=False),
    Seed("omero.web.middleware",
         values.json_lists(values.middleware, 'a JSON list of {"index": NUMBER, "class": NAME}'),
         "errors.not_found", f"true where it has a {values.BROKEN_LINKS}", default=_MIDDLEWARE),
    Seed("omero.web.django_additional_settings",
         values.json_lists(values.additional, 'a JSON list of ["NAME", VALUE]'),
         "errors.not_found_ignored", "IGNORABLE_404_URLS; all others are not used",
         # Whoever sends by Django's own settings keeps EMAIL_HOST_PASSWORD among them.
         default=values.NOTHING, is_secret=True),
    Seed("omero.web.show_forgot_password", _YES_NO, "", _NOT_MAIL, default=True),
    Seed("omero.web.feedback.error.enabled", _YES_NO, "", _NOT_MAIL, default=True),
    Seed("omero.web.feedback.comment.enabled", _YES_NO, "", _NOT_MAIL, default=True),
    Seed("omero.qa.feedback", _TEXT, "", _NOT_MAIL),
)  # fmt: skip
BY_NAME: Mapping[str, Seed] = MappingProxyType({seed.name: seed for seed in SEEDS})

# OMERO lists them as deprecated and then ignores them without a word; here they are refused.
DEPRECATED: Mapping[str, str] = MappingProxyType(
    {
        "omero.web.server_email": "omero.mail.from",
        "omero.web.email_host": "omero.mail.host",
        "omero.web.email_host_user": "omero.mail.username",
        "omero.web.email_host_password": "omero.mail.password",
        "omero.web.email_port": "omero.mail.port",
        "omero.web.email_use_tls": "omero.mail.smtp.starttls.enable",
        "omero.web.email_subject_prefix": "omero.web.admins.email_subject_prefix",
        "omero.web.send_broken_link_emails": "omero.web.middleware",
    }
)
