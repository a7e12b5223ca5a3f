"""This room is `envoi outbox`: look at deliveries, and decide about them by hand."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Annotated

import typer

from envoi.addresses import parse_address
from envoi.assembly import now_ms
from envoi.cli.call import call_of
from envoi.cli.deliveries import (
    COLUMNS,
    attempt_form,
    every,
    form_of,
    held_because,
    row_of,
    show_delivery,
    words_read,
)
from envoi.cli.exits import ExitCode
from envoi.cli.moments import both, local, moment_typed
from envoi.cli.presence import hint_at_delivery, live_workers, trouble
from envoi.cli.screen import Screen
from envoi.cli.typed import MAX_ID, Json, Yes, counted, examples, sure, taking
from envoi.core.delivery import Move, State, states_for
from envoi.core.wire import raw_masked
from envoi.errors import AddressError, InputError, RefusedError
from envoi.mailer import Mailer
from envoi.outbox import find
from envoi.outbox.filters import Query
from envoi.outbox.operate import Answer
from envoi.outbox.rates import waits_because
from envoi.outbox.tombstone import why_empty

Id = Annotated[
    int, typer.Argument(metavar="ID", max=MAX_ID, help="A delivery's id, as in the list.")
]


_SINCE_HELP = "Stored since: 90s, 30m, 2h, 7d or 2026-05-31T08:00."
_STATES_HELP = f"In this state: {', '.join(State)}; repeat it for several."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Filters:
    """Which deliveries are meant."""

    state: Annotated[
        list[State], typer.Option("--state", "-s", metavar="STATE", help=_STATES_HELP)
    ] = field(default_factory=list[State])
    kind: Annotated[str, typer.Option(help="Of this kind.")] = ""
    to: Annotated[str, typer.Option("--to", metavar="ADDRESS", help="To this address.")] = ""
    event: Annotated[
        int, typer.Option(metavar="ID", max=MAX_ID, show_default=False, help="Of this event.")
    ] = 0
    transport: Annotated[str, typer.Option(help="Leaving by this relay.")] = ""
    application: Annotated[
        str, typer.Option("--application", "-A", metavar="NAME", help="Of this application only.")
    ] = ""
    since: Annotated[
        str,
        typer.Option(metavar="WHEN", help=_SINCE_HELP),
    ] = ""

    def query(self) -> Query:
        """Return what was typed as a question to the outbox."""
        return Query(
            states=tuple(self.state),
            kind=self.kind,
            address=_address_typed(self.to),
            event_id=self.event,
            transport=self.transport,
            application=self.application,
            since_ms=moment_typed(self.since, now_ms(), "--since") if self.since else 0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _ListOptions(_Filters):
    limit: Annotated[int, typer.Option(min=1, help="At most so many, newest first.")] = 50
    before: Annotated[
        int,
        typer.Option(
            metavar="ID", max=MAX_ID, show_default=False, help="Only older ones than this."
        ),
    ] = 0
    as_json: Json = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _MoveOptions(_Filters):
    ids: Annotated[list[int] | None, typer.Argument(metavar="ID", help="Deliveries by id.")] = None
    everything: Annotated[
        bool,
        typer.Option("--all", help="All that the other options allow."),
    ] = False
    yes: Yes = False
    as_json: Json = False


def add_to(app: typer.Typer) -> None:
    """Add `outbox` with its commands."""
    group = typer.Typer(
        name="outbox",
        help="What is sent, waits or failed.",
        no_args_is_help=True,
        epilog=examples("envoi outbox list --state failed", "envoi outbox stats"),
    )
    group.command("list", epilog=examples(
        "envoi outbox list", "envoi outbox list --state failed --since 2h",
        "envoi outbox list --to ann@example.org --json",
    ))(taking(_ListOptions)(show_all))  # fmt: skip
    group.command("show", epilog=examples("envoi outbox show 7", "envoi outbox show 7 --raw"))(show)
    for move, sentence, state in (
        (
            Move.RETRY,
            "Send again, now; cancelled ones by id or by --state.",
            "failed",
        ),
        (Move.CANCEL, "Take back what has not been sent.", "queued"),
        (Move.HOLD, "Keep what waits until it is released by hand.", "queued"),
        (Move.RELEASE, "Let go what is held.", "held"),
    ):
        group.command(move.value, help=sentence, epilog=examples(
            f"envoi outbox {move} 7 8",
            f"envoi outbox {move} --all --state {state} --since 2h --yes",
        ))(taking(_MoveOptions)(_mover(move)))  # fmt: skip
    group.command("hold-all", epilog=examples("envoi outbox hold-all --yes"))(hold_all)
    group.command("stats", epilog=examples("envoi outbox stats", "envoi outbox stats --json"))(
        stats
    )
    app.add_typer(group)


def show_all(ctx: typer.Context, options: _ListOptions) -> None:
    """List deliveries, newest first: one row per message and recipient."""
    screen = call_of(ctx).screen
    query = options.query()
    with call_of(ctx).mailer() as mailer, mailer.parts.outbox.reading() as tx:
        found = tuple(every(tx, query, options.limit, options.before))
    if options.as_json:
        screen.document([form_of(listed) for listed in found])
    elif not found:
        is_narrow = query != Query() or options.before
        screen.note("no delivery is like that" if is_narrow else
                    "no deliveries yet: try `envoi send-test`")  # fmt: skip
    else:
        screen.table(COLUMNS, map(row_of, found))
        if len(found) == options.limit:
            screen.note(f"There may be more: --before {found[-1].delivery.id}, or --limit.")


def show(
    ctx: typer.Context,
    delivery_id: Id,
    raw: Annotated[
        bool, typer.Option("--raw", help="The mail as it goes out, secrets masked.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show one delivery: its words, every attempt and the relay's replies; secrets masked."""
    screen = call_of(ctx).screen
    with call_of(ctx).mailer() as mailer, mailer.parts.outbox.reading() as tx:
        shown = find.show(tx, delivery_id)
        delivery, settings = shown.listed.delivery, mailer.parts.settings
        rates = settings.relay(delivery.transport).rates
        waits = waits_because(tx, delivery, rates, now_ms())
    if raw and shown.listed.removed_at_ms:
        raise RefusedError(f"delivery {delivery_id}: {why_empty(shown.listed.removed_at_ms)}")
    text = raw_masked(shown.message, shown.listed.delivery) if raw else ""
    if as_json:
        attempts = [attempt_form(attempt) for attempt in shown.attempts]
        words = words_read(shown)
        more = {"raw": text} if raw else {"text": words.text, "html": words.html}
        why = {"held_because": held_because(shown) or None, "waits_because": waits or None}
        screen.document({**form_of(shown.listed), **why, "attempt_list": attempts, **more})
    elif raw:
        screen.block(text)
    else:
        show_delivery(screen, shown, waits)


def stats(ctx: typer.Context, as_json: Json = False) -> None:
    """Count deliveries by state, and say who delivers."""
    screen = call_of(ctx).screen
    with call_of(ctx).mailer() as mailer:
        with mailer.parts.outbox.reading() as tx:
            counted = find.stats(tx, now_ms())
        live, down = live_workers(mailer.parts), trouble(mailer.parts)
    if as_json:
        screen.document({
            "deliveries": {state.value: count for state, count in counted.by_state.items()},
            "total": counted.total,
            "transports": _by_transport(counted),
            "events": counted.events,
            "events_to_route": counted.events_to_route,
            **both("oldest_due", counted.oldest_due_ms),
            "workers": [
                {"name": w.name, "host": w.host, "pid": w.pid, "transport": w.transport,
                 **both("seen_at", w.seen_at_ms)}
                for w in live
            ],
            "relays_down": [
                {"relay": d.relay, "because": d.because, "advice": d.advice,
                 **both("down_since", d.down_since_ms)}
                for d in down
            ],
        })  # fmt: skip
        return
    rows = [(state, count) for state, count in counted.by_state.items() if count]
    screen.table(("STATE", "DELIVERIES"), [*rows, ("total", counted.total)])
    screen.pairs({
        "events": f"{counted.events}, {counted.events_to_route} of them to be routed",
        "longest due": local(counted.oldest_due_ms),
        "workers": ", ".join(w.name for w in live) or "none: start `envoi run`",
    })  # fmt: skip
    for pause in down:
        screen.note(
            f"relay {pause.relay} cannot be used since {local(pause.down_since_ms)}: "
            f"{pause.because}. {pause.advice}"
        )


def hold_all(ctx: typer.Context, yes: Yes = False, as_json: Json = False) -> None:
    """Hold all that could leave, also what a worker had and events without recipients yet.

    For a restored backup, before a worker starts: it knows nothing of what was sent since.
    """
    screen = call_of(ctx).screen
    with call_of(ctx).mailer() as mailer:
        live = live_workers(mailer.parts)
        if live:
            names = ", ".join(worker.name for worker in live)
            raise RefusedError(f"hold-all: expected no worker, got {names}: stop it first")
        sure(screen, "Hold everything that could leave?", yes=yes)
        held = mailer.parts.outbox.hold_all(now_ms())
    if as_json:
        screen.document({
            "deliveries": held.deliveries, "in_doubt": held.in_doubt, "events": held.events,
        })  # fmt: skip
        return
    screen.line(
        f"held: {counted(held.deliveries, 'delivery', 'deliveries')}, {held.in_doubt} of them may "
        f"have been sent; {counted(held.events, 'event', 'events')} without recipients yet"
    )


# What somebody took back comes back only when it is asked for by name.
_UNASKED = {Move.RETRY: (State.QUEUED, State.UNCERTAIN, State.FAILED)}


def _mover(move: Move) -> Callable[[typer.Context, _MoveOptions], None]:
    def moved(ctx: typer.Context, options: _MoveOptions) -> None:
        screen = call_of(ctx).screen
        query = _meant(move, options)
        with call_of(ctx).mailer() as mailer:
            if not query.ids:
                _ask(screen, mailer, move, query, yes=options.yes)
            answers = mailer.parts.outbox.operate(move, query, now_ms())
            events = mailer.parts.outbox.decide_events(move, query, now_ms())
            _tell(screen, move, answers, events, as_json=options.as_json)
            is_changed = events or any(a.is_changed for a in answers)
            if move in {Move.RETRY, Move.RELEASE} and is_changed:
                mailer.parts.outbox.ring()
                if not options.as_json:
                    hint_at_delivery(screen, mailer.parts, is_released=True)
        _end(answers)

    moved.__name__ = move.value
    return moved


def _ask(screen: Screen, mailer: Mailer, move: Move, query: Query, *, yes: bool) -> None:
    with mailer.parts.outbox.reading() as tx:
        count = sum(1 for _ in every(tx, query))
        events = len(mailer.parts.outbox.held_events(tx, move, query))
    meant = [counted(count, "delivery", "deliveries")] if count else []
    meant += [counted(events, "held event", "held events")] if events else []
    if meant:
        sure(screen, f"{move.capitalize()} {' and '.join(meant)}?", yes=yes)


def _meant(move: Move, options: _MoveOptions) -> Query:
    query = options.query()
    if options.ids and (options.everything or query != Query()):
        raise InputError("deliveries: expected ids, or --all with conditions, got both")
    if options.ids:
        return Query(ids=tuple(dict.fromkeys(options.ids)))
    if not options.everything:
        raise InputError(
            "deliveries: expected ids, or --all with conditions such as --state failed"
        )
    allowed = states_for(move)
    meant = query.states or _UNASKED.get(move, allowed)
    states = tuple(state for state in meant if state in allowed)
    if not states:
        raise InputError(f"--state: expected one of {', '.join(allowed)}, which {move} allows")
    return replace(query, states=states)


def _tell(
    screen: Screen, move: Move, answers: tuple[Answer, ...], events: int, *, as_json: bool
) -> None:
    changed = sum(answer.is_changed for answer in answers)
    if as_json:
        screen.document({
            "move": move.value,
            "changed": changed,
            "refused": len(answers) - changed,
            "events": events,
            "deliveries": [
                {"id": a.id, "before": a.before, "after": a.after,
                 "refused_because": a.refused_because or None}
                for a in answers
            ],
        })  # fmt: skip
        return
    for answer in answers:
        if answer.is_changed:
            screen.line(f"{answer.id}: {answer.before} -> {answer.after}")
        else:
            screen.line(f"{answer.id}: refused: {answer.refused_because}")
    screen.note(f"{changed} changed, {len(answers) - changed} refused")
    if events:
        screen.note(
            f"{counted(events, 'held event', 'held events')} without recipients yet: {move}"
        )


def _end(answers: tuple[Answer, ...]) -> None:
    if any(answer.before is None for answer in answers):
        raise typer.Exit(ExitCode.NOT_FOUND)
    if not all(answer.is_changed for answer in answers):
        raise typer.Exit(ExitCode.FAILED)


def _by_transport(counted: find.Stats) -> dict[str, dict[str, int]]:
    tables: dict[str, dict[str, int]] = {}
    for (transport, state), count in counted.counts.items():
        tables.setdefault(transport, {})[state.value] = count
    return tables


def _address_typed(text: str) -> str:
    # Old or local addresses may be in the outbox although nobody could type them today.
    try:
        return str(parse_address(text, is_local_allowed=True)) if text else ""
    except AddressError:
        return text
