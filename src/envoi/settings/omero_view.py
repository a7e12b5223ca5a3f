"""This room says what a property of OMERO is in effect, whichever key decides it."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from envoi.settings import omero_values as values
from envoi.settings.listing import told
from envoi.settings.omero import properties_of
from envoi.settings.omero_expand import Expansion
from envoi.settings.omero_keys import BEAN, BY_NAME, Seed
from envoi.settings.readers import MisfitError
from envoi.settings.sections import Settings

_MS_PER_S = 1000
# What a key of ours says, in the property's own words; the others of a target say what the file
# says, since a key of ours may mean none of them.
_BACK: Mapping[str, Callable[[Settings], object]] = MappingProxyType(
    {
        "omero.mail.config": lambda s: s.delivery.enabled,
        "omero.mail.from": lambda s: told(s.applications["main"].sender),
        "omero.mail.host": lambda s: s.smtp.host,
        "omero.mail.port": lambda s: s.smtp.port,
        "omero.mail.username": lambda s: s.smtp.username,
        "omero.mail.password": lambda s: s.smtp.password.reveal(),
        "omero.mail.smtp.starttls.enable": lambda s: s.smtp.tls == "starttls",
        "omero.mail.smtp.socketFactory.class": lambda s: (
            values.TLS_FACTORY if s.smtp.tls == "tls" else values.PLAIN_FACTORY
        ),
        "omero.mail.smtp.socketFactory.port": lambda s: s.smtp.port,
        "omero.mail.smtp.connectiontimeout": lambda s: round(s.smtp.connect_timeout_s * _MS_PER_S),
        "omero.mail.smtp.timeout": lambda s: round(s.smtp.command_timeout_s * _MS_PER_S),
        "omero.mail.bean": lambda s: BEAN if s.transport.default == "smtp" else s.transport.default,
        "omero.web.admins": lambda s: [["", str(address)] for address in s.errors.to],
        "omero.web.admins.email_subject_prefix": lambda s: s.errors.subject_prefix,
        "omero.web.debug": lambda s: not s.errors.enabled,
    }
)


def in_effect(seed: Seed, settings: Settings, tables: Mapping[str, object]) -> tuple[object, str]:
    """Return a property's value and where it comes from.

    Args:
        seed: Which property.
        settings: What is in force.
        tables: The settings file.
    """
    # An empty text is OMERO's way to say "not set": its default is in effect.
    given = {name: value for name, value in properties_of(tables)[0].items() if value != ""}
    origin = settings.origin_of(seed.target) if seed.target else "default"
    back = _BACK.get(seed.name)
    # The sender's default is no mere text: a host without a name has none.
    is_settled = seed.name == "omero.mail.from" or "omero." not in origin
    if back and origin != "default" and is_settled:
        return back(settings), origin
    place = settings.path.name if settings.path and seed.name in given else "default"
    try:
        value = Expansion(given).value(seed.name)
        # A text of the file is shown in its type's own form: "TRUE" is true.
        if isinstance(value, str) and not seed.is_secret:
            value = seed.reader.from_text(value)
    except MisfitError:
        value = given.get(seed.name, BY_NAME[seed.name].default)
    return value, place
