"""This room is `envoi relay`: which relays there are, how each is, and pausing one by hand."""

from dataclasses import dataclass
from typing import Annotated

import typer

from envoi.assembly import Parts, now_ms
from envoi.cli.call import call_of
from envoi.cli.exits import ExitCode
from envoi.cli.findings import Finding, Level
from envoi.cli.moments import both, local
from envoi.cli.presence import live_workers
from envoi.cli.relay_findings import of_relays, waiting_by_relay
from envoi.cli.typed import Json, examples
from envoi.cli.who import system_user
from envoi.errors import NotFoundError
from envoi.outbox import audit, find
from envoi.outbox import relay as relays
from envoi.outbox.relay import Pause
from envoi.outbox.switches import Switch

Name = Annotated[str, typer.Argument(metavar="NAME", help="A relay's name, as in the list.")]
COLUMNS = ("NAME", "STATE", "AT", "WAITING", "WORKERS", "FAILOVER", "BECAUSE")


def add_to(app: typer.Typer) -> None:
    """Add `relay` with its commands."""
    group = typer.Typer(
        name="relay",
        help="The relays: how each is, and pause one by hand.",
        no_args_is_help=True,
        epilog=examples("envoi relay list", "envoi relay pause bulk"),
    )
    group.command("list", epilog=examples("envoi relay list", "envoi relay list --json"))(show_all)
    group.command("test", epilog=examples("envoi relay test", "envoi relay test bulk"))(walk)
    group.command("pause", epilog=examples("envoi relay pause bulk"))(pause)
    group.command("resume", epilog=examples("envoi relay resume bulk"))(resume)
    app.add_typer(group)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What is known of one relay."""

    name: str
    where: str
    waiting: int
    workers: int
    failover: tuple[str, ...]
    down: Pause | None
    paused: Switch | None
    why_held: str

    @property
    def state(self) -> str:
        """In a word: `paused` by hand, `in trouble`, `unset`, or `well` as far as is known."""
        if not self.where:
            return "unset"
        if self.paused:
            return "paused"
        return "in trouble" if self.down else "well"

    @property
    def because(self) -> str:
        """Why it carries nothing; empty when it does."""
        if self.why_held:
            return self.why_held
        if self.paused:
            return f"by {self.paused.changed_by} at {local(self.paused.changed_at_ms)}"
        if self.down:
            return f"since {local(self.down.down_since_ms)}: {self.down.because}"
        return ""


def show_all(ctx: typer.Context, as_json: Json = False) -> None:
    """List the relays with their state.

    A relay is in trouble when it cannot be used: it is tried again by itself. A paused one waits
    until somebody resumes it. Meanwhile its mail leaves by its failover, or waits.
    """
    screen = call_of(ctx).screen
    with call_of(ctx).mailer() as mailer:
        found = _known(mailer.parts)
    if as_json:
        screen.document([_form(one) for one in found])
        return
    screen.table(COLUMNS, [
        (one.name, one.state, one.where or "-", one.waiting, one.workers,
         ", ".join(one.failover) or "-", one.because or "-")
        for one in found
    ])  # fmt: skip
    for one in found:
        if one.down and one.down.advice and not one.paused:
            screen.note(f"relay {one.name}: {one.down.advice}")


def walk(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Which; default all.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Walk to the relays step by step, as a worker would; sends no mail.

    Ends with 1 when one cannot be used.
    """
    screen = call_of(ctx).screen
    with call_of(ctx).parts() as parts:
        for name in names or ():
            _refuse_unknown(parts, name)
        findings = tuple(of_relays(parts, tuple(names or ()), is_connecting=True))
    if as_json:
        screen.document([_finding_form(finding) for finding in findings])
    else:
        for finding in findings:
            advice = f" ({finding.advice})" if finding.advice else ""
            screen.state(finding.level, f"{finding.about}: {finding.said}{advice}")
    if any(finding.level is Level.WRONG for finding in findings):
        raise typer.Exit(ExitCode.FAILED)


def pause(ctx: typer.Context, name: Name) -> None:
    """Let nothing more leave by a relay, in all processes within a second.

    What a connection has begun is finished. Mail of this relay leaves by its failover, or waits.
    """
    screen = call_of(ctx).screen
    with call_of(ctx).mailer() as mailer:
        _refuse_unknown(mailer.parts, name)
        with mailer.outbox.transaction() as tx:
            relays.pause_by_hand(tx, name, system_user(), now_ms())
            audit.note_use(tx, _note("pause", name))
        mailer.outbox.ring()
        failover = mailer.parts.relays.failover[name]
    goes = f"goes by {' or '.join(failover)}" if failover else "waits"
    screen.line(f"relay {name} is paused: its mail {goes} until `envoi relay resume {name}`")


def resume(ctx: typer.Context, name: Name) -> None:
    """Let mail leave again by a relay that was paused by hand."""
    screen = call_of(ctx).screen
    with call_of(ctx).mailer() as mailer:
        with mailer.outbox.transaction() as tx:
            was_paused = relays.resume_by_hand(tx, name)
            if was_paused:
                audit.note_use(tx, _note("resume", name))
        if not was_paused:
            # A pause may outlive its relay's place in the settings, and must be possible to end.
            _refuse_unknown(mailer.parts, name)
        mailer.outbox.ring()
    becomes = "is resumed" if was_paused else "was not paused by hand: nothing was changed"
    screen.line(f"relay {name} {becomes}")


def _known(parts: Parts) -> list[_Known]:
    live = live_workers(parts)
    with parts.outbox.reading() as tx:
        counts = find.stats(tx, now_ms()).counts
        down = {one.relay: one for one in relays.relays_down(tx)}
        paused = relays.paused_by_hand(tx)
    # Mail may wait for a relay that left the settings.
    waiting = waiting_by_relay(counts)
    names = [*parts.relays.names, *sorted(waiting.keys() - set(parts.relays.names))]
    return [
        _Known(
            name=name,
            where=parts.relays.where(name),
            waiting=waiting.get(name, 0),
            workers=sum(worker.transport == name for worker in live),
            failover=parts.relays.failover.get(name, ()),
            down=down.get(name),
            paused=paused.get(name),
            why_held=parts.why_held_at(name),
        )
        for name in names
    ]


def _form(one: _Known) -> dict[str, object]:
    return {
        "name": one.name,
        "state": one.state.replace(" ", "_"),
        "at": one.where or None,
        "waiting": one.waiting,
        "workers": one.workers,
        "failover": list(one.failover),
        "because": one.because or None,
        "advice": (one.down.advice or None) if one.down else None,
        "paused_by": one.paused.changed_by if one.paused else None,
        **both("paused_at", one.paused.changed_at_ms if one.paused else 0),
        **both("down_since", one.down.down_since_ms if one.down else 0),
        **both("tried_again_at", one.down.paused_until_ms if one.down else 0),
    }


def _finding_form(finding: Finding) -> dict[str, object]:
    return {
        "level": finding.level.value,
        "about": finding.about,
        "said": finding.said,
        "advice": finding.advice or None,
    }


def _note(action: str, name: str) -> audit.Note:
    return audit.Note(made_by=system_user(), action=f"relay {action}", target=name, at_ms=now_ms())


def _refuse_unknown(parts: Parts, name: str) -> None:
    if name not in parts.relays.names:
        known = ", ".join(parts.relays.names)
        raise NotFoundError(f"relay {name!r:.80}: expected one of {known}, found none")
