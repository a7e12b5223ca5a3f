"""This room finds settings among the environment's variables: `ENVOI_SECTION__KEY`."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from envoi.core.problem import Problem
from envoi.settings.families import (
    KEYS_OF,
    TRANSPORT,
    is_relay_name,
    knows,
    name_problem,
    names_of,
)
from envoi.settings.layers import (
    MAIN,
    Layer,
    Raw,
    shown_name,
)
from envoi.settings.readers import booleans
from envoi.settings.secret import shown
from envoi.settings.table import SECTIONS

PREFIX = "ENVOI_"
CONFIG = "ENVOI_CONFIG"
# Read by the command line, and often exported for everything that runs beside it.
NOT_SETTINGS = frozenset({CONFIG, "ENVOI_LOG_LEVEL"})
# A Kubernetes service called `envoi` (or `envoi-web`) puts these beside our own variables.
_SERVICE_LINK = re.compile(
    r"ENVOI_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|"
    r"PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_LINK_VALUE = re.compile(r"(tcp|udp|sctp)://")


def environment_layer(env: Mapping[str, str], document: Layer) -> Layer:
    """Return what the environment says.

    Args:
        env: All variables; those without our prefix are somebody else's.
        document: The settings file's layer: variables cannot tell `my-app` from `my_app`, so
            they mean the one that is there.
    """
    layer = Layer()
    for variable in sorted(env):
        text = env[variable]
        if _is_ours(variable, text) and text:
            _take(layer, variable, text, document)
    return layer


def _is_ours(variable: str, text: str) -> bool:
    name = variable.upper()
    if not name.startswith(PREFIX) or variable in NOT_SETTINGS or _SERVICE_LINK.fullmatch(name):
        return False
    return not (name.endswith("_PORT") and _SERVICE_LINK_VALUE.match(text))


def _take(layer: Layer, variable: str, text: str, document: Layer) -> None:
    match variable[len(PREFIX) :].lower().split("__"):
        case ["application", name] if name in names_of(MAIN):
            group = MAIN
        case [family, owner, name] if family in KEYS_OF and owner and name in names_of(family):
            group = _meant(f"{family}.{owner}", document.groups)
            if problem := name_problem(variable, family, group.partition(".")[2]):
                layer.problems.append(problem)
                return
        case [section, name] if section in SECTIONS and knows(section, name):
            group, name = section, _relay_meant(section, name, document)
        case ["senders", *middle, "enabled"] if any(middle):
            take_switch(layer, variable, text, _meant("__".join(middle), document.senders))
            return
        case _:
            layer.problems.append(_unknown(variable, document))
            return
    raw = Raw(value=text, where=variable, origin=variable, is_text=True, source=variable)
    layer.add(group, name, raw)


def _meant(name: str, known: Iterable[str]) -> str:
    same = [one for one in known if _variable_form(one) == _variable_form(name)]
    return same[0] if same else name


def _relay_meant(section: str, name: str, document: Layer) -> str:
    if section != TRANSPORT or not is_relay_name(name):
        return name
    named = [group.partition(".")[2] for group in document.groups if group.startswith("relays.")]
    return _meant(name, [*named, *document.groups.get(TRANSPORT, {})])


def _variable_form(name: str) -> str:
    return re.sub(r"[^a-z0-9.]", "_", name.lower())


def take_switch(layer: Layer, source: str, text: str, sender: str) -> None:
    """Take in whether a sender is on, as a place that knows texts only says it.

    Args:
        layer: Where to.
        source: A variable, or a key and its file.
        text: Its value.
        sender: The sender's name.
    """
    reader, where = booleans(), f"senders.{sender}.enabled"
    value = reader.from_text(text)
    if not isinstance(value, bool):
        layer.problems.append(
            Problem(where=where, expected=reader.expected, got=shown(text), hint=f"by {source}")
        )
        return
    layer.senders[sender] = {"enabled": value}
    layer.sender_origins[where] = source


def _unknown(variable: str, document: Layer) -> Problem:
    groups = [*(section for section in SECTIONS), *document.groups]
    known = [
        f"{PREFIX}{group.replace('.', '__')}__{name}".upper()
        for group in groups
        for name in sorted(names_of(group))
    ]
    near = get_close_matches(variable.upper(), [CONFIG, *known], 1)
    return Problem(
        where=shown_name(variable),
        expected="a variable that names a key",
        got="an unknown one",
        hint=f"did you mean {near[0]}?" if near else "",
    )
