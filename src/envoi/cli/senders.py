"""This room is `envoi senders`: the rules that say who hears of what, and their switches."""

import getpass
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated

import typer

from envoi.assembly import Parts, now_ms
from envoi.cli.call import call_of
from envoi.cli.exits import ExitCode
from envoi.cli.moments import both, local
from envoi.cli.screen import Screen
from envoi.cli.typed import Json, examples
from envoi.core.beanrules import ALIASES, senders_named
from envoi.core.routing import Sender
from envoi.errors import InputError, NotFoundError
from envoi.outbox.switches import Switch, clear_switch, set_switch, switch_list
from envoi.reach import may_fall_back
from envoi.senderfiles import EXAMPLE, SUFFIX
from envoi.templates.catalogue import SHIPPED_FOLDER

Name = Annotated[
    str,
    typer.Argument(
        metavar="SENDER",
        help="A sender's name, or the one that OMERO's documentation has for it.",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Switched:
    """A sender with its switch in the database, where there is one."""

    sender: Sender
    switch: Switch | None
    falls_back: bool

    @property
    def is_on(self) -> bool:
        """Whether it speaks: the switch wins over the file."""
        return self.switch.value == "on" if self.switch else self.sender.is_enabled

    @property
    def by(self) -> str:
        """Who says so."""
        if self.switch is None:
            return "file"
        when = local(self.switch.changed_at_ms)
        return f"switched {self.switch.value} by {self.switch.changed_by} at {when}"


def add_to(app: typer.Typer) -> None:
    """Add `senders` with its commands."""
    group = typer.Typer(
        name="senders",
        help="Who hears of what.",
        no_args_is_help=True,
        epilog=examples("envoi senders list", "envoi senders off registration"),
    )
    group.command("list", epilog=examples("envoi senders list", "envoi senders list --json"))(
        show_all
    )
    group.command("show", epilog=examples("envoi senders show registration"))(show)
    group.command("on", epilog=examples("envoi senders on registration"))(switch_on)
    group.command("off", epilog=examples("envoi senders off registration"))(switch_off)
    group.command("enable", epilog=examples(
        "envoi senders enable new_user", "envoi senders enable ServerUpMailSender",
    ))(switch_on)  # fmt: skip
    group.command("disable", epilog=examples("envoi senders disable newUserMailSender"))(switch_off)
    group.command("example", epilog=examples("envoi senders example"))(write_example)
    group.command("reset", epilog=examples("envoi senders reset registration"))(reset)
    app.add_typer(group)


def show_all(ctx: typer.Context, as_json: Json = False) -> None:
    """List senders in the order in which they speak.

    Ends with 1 when a sender's table does not fit and it is left out.
    """
    screen = call_of(ctx).screen
    with call_of(ctx).mailer() as mailer:
        found = _all(mailer.parts)
        _, problems = mailer.parts.sender_tables()
    if as_json:
        broken = [{"where": p.where, "problem": str(p)} for p in problems]
        screen.document({"senders": [_form(one) for one in found], "problems": broken})
    elif not found and not problems:
        screen.note("no senders yet: name one in envoi.toml as [senders.NAME]")
    else:
        screen.table(("SENDER", "STATE", "KIND", "RECIPIENTS", "BY"), [_row(one) for one in found])
        for problem in problems:
            screen.note(f"left out: {problem}")
    if problems:
        raise typer.Exit(ExitCode.FAILED)


def show(ctx: typer.Context, name: Name, as_json: Json = False) -> None:
    """Show one sender as it is in force."""
    screen = call_of(ctx).screen
    with call_of(ctx).mailer() as mailer:
        found = _named(mailer.parts, name)
    if as_json:
        forms = [_form(one) for one in found]
        screen.document(forms[0] if len(forms) == 1 else {"senders": forms})
        return
    for number, one in enumerate(found):
        if number:
            screen.line("")
        _show(screen, one)


def _show(screen: Screen, found: _Switched) -> None:
    sender = found.sender
    screen.pairs({
        "sender": sender.name,
        "description": sender.description or "-",
        "state": f"{'on' if found.is_on else 'off'} ({found.by})",
        "kind": sender.kind,
        "template": sender.template_name,
        "when": "; ".join(f"{c.fact} {c.operator} {c.value}" for c in sender.when) or "always",
        "recipients": ", ".join(map(str, sender.recipients)),
        "except": ", ".join(map(str, sender.exclude)) or "-",
        "the actor": "is told" if sender.tells_actor else "is not told",
        "inactive": "are told" if sender.tells_inactive else "are not told",
        "class": sender.mail_class or "its kind's",
        "facts": "; ".join(f"{name} = {value}" for name, value in sender.facts.items()) or "-",
        "address": "the one that the event names" if sender.to_matched_address else "the primary",
        "fallback": "administrators" if found.falls_back else "nobody",
        "needs": ", ".join(map(str, sender.needs)) or "-",
        "limit": f"{sender.limit} and person" if sender.limit else "-",
        "prefix": "the application's" if sender.prefix is None else sender.prefix or "none",
        "transport": sender.transport,
        "headers": "; ".join(f"{key}: {value}" for key, value in sender.headers) or "-",
    })  # fmt: skip


def switch_on(ctx: typer.Context, name: Name) -> None:
    """Have a sender speak, whatever the file says; in force at once, everywhere."""
    _switch(ctx, name, "on")


def switch_off(ctx: typer.Context, name: Name) -> None:
    """Silence a sender, whatever the file says; in force at once, everywhere."""
    _switch(ctx, name, "off")


def reset(ctx: typer.Context, name: Name) -> None:
    """Take a switch back, so that the file decides again."""
    screen = call_of(ctx).screen
    with call_of(ctx).mailer() as mailer:
        found = _named(mailer.parts, name)
        with mailer.parts.outbox.transaction() as tx:
            were_there = [clear_switch(tx, _switch_name(one.sender.name)) for one in found]
    for one, was_there in zip(found, were_there, strict=True):
        state = "on" if one.sender.is_enabled else "off"
        because = "" if was_there else " already"
        screen.state(state, f"{one.sender.name}: the file decides{because}")


def write_example(ctx: typer.Context) -> None:
    """Write mail-senders.example into senders.d beside the settings; a copy ending .xml activates.

    A file that is there already is kept.
    """
    screen = call_of(ctx).screen
    with call_of(ctx).parts() as parts:
        folder = parts.sender_files.folder
    path = folder / EXAMPLE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write((SHIPPED_FOLDER / EXAMPLE).read_bytes())
    except FileExistsError:
        screen.line(f"{path} is there already")
    except OSError as err:
        got = err.strerror or err
        raise InputError(f"{path}: expected a folder to write to, got {got}") from err
    else:
        screen.line(f"wrote {path}")
    screen.note(f"to activate: cp {path} {path.with_suffix(SUFFIX)}")


def _switch(ctx: typer.Context, name: str, value: str) -> None:
    with call_of(ctx).mailer() as mailer:
        names = [one.sender.name for one in _named(mailer.parts, name)]
        switches = {
            one: Switch(
                name=_switch_name(one), value=value, changed_at_ms=now_ms(), changed_by=_who()
            )
            for one in names
        }
        with mailer.parts.outbox.transaction() as tx:
            for switch in switches.values():
                set_switch(tx, switch)
        is_mute = value == "on" and not mailer.parts.settings.delivery.enabled
    for one, switch in switches.items():
        _told(call_of(ctx).screen, one, switch)
    if is_mute:
        call_of(ctx).screen.note("it stays silent while mail is switched off: delivery.enabled")


def _told(screen: Screen, name: str, switch: Switch) -> None:
    screen.state(switch.value, f"{name}, by {switch.changed_by}")


def _all(parts: Parts) -> tuple[_Switched, ...]:
    with parts.outbox.reading() as tx:
        switches = {switch.name: switch for switch in switch_list(tx)}
    senders, _ = parts.sender_tables()
    return tuple(
        _Switched(
            sender=sender,
            switch=switches.get(_switch_name(sender.name)),
            falls_back=may_fall_back(sender, parts.catalogue.kind(sender.kind)),
        )
        for sender in senders
    )


def _named(parts: Parts, name: str) -> tuple[_Switched, ...]:
    by_name = {one.sender.name: one for one in _all(parts)}
    names = (name,) if name in by_name else senders_named(name)
    known = tuple(by_name[one] for one in names if one in by_name)
    if not known:
        _, problems = parts.sender_tables()
        wrong = [
            p
            for p in problems
            if any(f"{p.where}.".startswith(f"senders.{one}.") for one in (name, *names))
        ]
        if wrong:
            raise NotFoundError(f"sender: {name} is left out: {'; '.join(map(str, wrong))}")
        near = get_close_matches(name, (*by_name, *ALIASES), n=1)
        hint = f"did you mean {near[0]}?" if near else "`envoi senders list` shows all"
        raise NotFoundError(f"sender: none is called {name!r} ({hint})")
    return known


def _switch_name(sender: str) -> str:
    return f"sender.{sender}"


def _who() -> str:
    # In a container a user may have a number and no name.
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "the command line"


def _row(found: _Switched) -> tuple[object, ...]:
    sender = found.sender
    recipients = ", ".join(map(str, sender.recipients))
    return sender.name, "on" if found.is_on else "off", sender.kind, recipients, found.by


def _form(found: _Switched) -> dict[str, object]:
    sender, switch = found.sender, found.switch
    return {
        "name": sender.name,
        "kind": sender.kind,
        "is_on": found.is_on,
        "file_says": "on" if sender.is_enabled else "off",
        "switch": {
            "value": switch.value,
            "by": switch.changed_by,
            **both("at", switch.changed_at_ms),
        }
        if switch
        else None,
        "recipients": [str(selector) for selector in sender.recipients],
        "exclude": [str(selector) for selector in sender.exclude],
        "when": [
            {"fact": c.fact, "operator": c.operator.value, "value": c.value} for c in sender.when
        ],
        "template": sender.template_name,
        "tells_actor": sender.tells_actor,
        "tells_inactive": sender.tells_inactive,
        "class": sender.mail_class.value if sender.mail_class else None,
        "transport": sender.transport,
        "headers": dict(sender.headers),
        "facts": dict(sender.facts),
        "to_matched_address": sender.to_matched_address,
        "fallback": found.falls_back,
        "needs": [str(selector) for selector in sender.needs],
        "limit": {"count": sender.limit.count, "window_s": sender.limit.window_s}
        if sender.limit
        else None,
        "prefix": sender.prefix,
        "description": sender.description,
    }
