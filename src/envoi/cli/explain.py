"""This room is `envoi explain`: why somebody gets mail, and why somebody does not."""

from collections.abc import Iterable, Sequence
from typing import Annotated

import typer

from envoi.addresses import parse_address
from envoi.assembly import Parts
from envoi.cli.call import call_of, known_application
from envoi.cli.deliveries import by_relay, every
from envoi.cli.moments import both, local
from envoi.cli.rosters import roster_of
from envoi.cli.screen import Screen
from envoi.cli.typed import Application, Json, examples
from envoi.directory.typed import login_key
from envoi.errors import AddressError, DirectoryError, InputError, NotFoundError
from envoi.outbox.explain import Chosen, Explained, PassedOver, explain_event, explain_person
from envoi.outbox.filters import Query
from envoi.outbox.find import Listed
from envoi.outbox.tombstone import why_empty, why_missing
from envoi.seams import Tx


def add_to(app: typer.Typer) -> None:
    """Add `explain`."""
    app.command("explain", epilog=examples(
        "envoi explain 17", "envoi explain comment-4711 --json", "envoi explain ann@example.org",
    ))(explain)  # fmt: skip


def explain(
    ctx: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="EVENT|ADDRESS",
            help="An event's id, unique id or key; or a person's address or login.",
        ),
    ],
    limit: Annotated[
        int, typer.Option(min=1, help="Of one person, the latest so many decisions.")
    ] = 50,
    application: Application = "main",
    as_json: Json = False,
) -> None:
    """Say who was told, who was not, and why."""
    screen = call_of(ctx).screen
    with call_of(ctx).mailer() as mailer, mailer.parts.outbox.reading() as tx:
        known_application(mailer.parts.settings, application)
        try:
            explained = explain_event(tx, name, application)
        except NotFoundError:
            names = _names_of(mailer.parts, tx, screen, name, application)
            _explain_person(tx, screen, names, limit, as_json=as_json)
            return
        replies = _replies(tx, explained)
    if as_json:
        screen.document(_event_form(explained, replies))
    else:
        _show_event(screen, explained, replies)


def _explain_person(
    tx: Tx, screen: Screen, names: Sequence[str], limit: int, *, as_json: bool
) -> None:
    chosen: list[Chosen] = []
    skipped: list[PassedOver] = []
    for one in names:
        told, not_told = explain_person(tx, one, limit=limit)
        chosen += told
        skipped += not_told
    if not chosen and not skipped:
        nothing = "no event, and no decision about anybody called so"
        raise NotFoundError(f"{names[0]!r}: {nothing}{why_missing(tx)}")
    replies = _replies_of(tx, chosen)
    if as_json:
        decisions = [_chosen_form(c, replies) for c in chosen] + [_skipped_form(s) for s in skipped]
        screen.document({"person": names[0], "names": list(names), "decisions": decisions})
        return
    screen.table(("EVENT", *_COLUMNS), [
        *((one.event_id, *_chosen_row(one, replies)) for one in chosen),
        *((one.event_id, *_skipped_row(one)) for one in skipped),
    ])  # fmt: skip


def _names_of(parts: Parts, tx: Tx, screen: Screen, name: str, application: str) -> list[str]:
    # Deliveries are kept by address, decisions by login: of a user both are asked for.
    try:
        with roster_of(parts, tx, application) as roster:
            user = roster.user(name)
    except NotFoundError:
        return _spellings(name)
    except InputError:  # several users have this address
        return _spellings(name)
    except DirectoryError as err:
        screen.note(f"note: only what is kept under this very name is found: {err}")
        return _spellings(name)
    # A number asks for an event, unless somebody is called so: never for the user in that row.
    if name.isdecimal() and login_key(user.login) != login_key(name):
        return [name]
    return list(dict.fromkeys([user.login, *(address.text for address in user.addresses)]))


def _spellings(name: str) -> list[str]:
    try:
        address = str(parse_address(name, is_local_allowed=True))
    except AddressError:
        return [name]
    return list(dict.fromkeys([address, address.lower()]))


def _replies(tx: Tx, explained: Explained) -> dict[int, Listed]:
    rows = every(tx, Query(event_id=explained.event_id))
    return {listed.delivery.id: listed for listed in rows}


def _replies_of(tx: Tx, chosen: Iterable[Chosen]) -> dict[int, Listed]:
    ids = tuple(one.delivery_id for one in chosen)
    if not ids:
        return {}
    rows = every(tx, Query(ids=ids))
    return {listed.delivery.id: listed for listed in rows}


_COLUMNS = ("PERSON", "ADDRESS", "SENDER", "DECISION", "BECAUSE", "REPLY")


def _chosen_row(one: Chosen, replies: dict[int, Listed]) -> tuple[object, ...]:
    found = replies.get(one.delivery_id)
    reply = f"{by_relay(found.relay)}{found.last_reply}" if found and found.last_reply else "-"
    return one.name or "-", one.address, one.sender, one.state, one.because, reply


def _skipped_row(one: PassedOver) -> tuple[object, ...]:
    return one.name, "-", one.sender, "skipped", one.because, "-"


def _show_event(screen: Screen, explained: Explained, replies: dict[int, Listed]) -> None:
    event = explained.event
    named = "; ".join(f"{role}: {', '.join(names)}" for role, names in event.people.items())
    screen.pairs({
        "event": f"{explained.event_id} ({explained.uid})",
        "kind": event.kind,
        "actor": event.actor or "-",
        "subject": event.subject or "-",
        "people": named or "-",
        "key": event.key or "-",
        "stored": local(explained.stored_at_ms),
    })  # fmt: skip
    if explained.removed_at_ms:
        screen.note(f"note: {why_empty(explained.removed_at_ms)}, its facts with it")
    if not explained.is_routed:
        because = f": {explained.problem}" if explained.problem else ""
        screen.note(f"note: its recipients are still to be found by a worker{because}")
    rows = [
        *(_chosen_row(one, replies) for one in explained.chosen),
        *(_skipped_row(one) for one in explained.skipped),
    ]
    if rows:
        screen.line()
        screen.table(_COLUMNS, rows)
    elif explained.is_routed:
        screen.note(
            "nobody was considered: no sender that is on speaks for it, or those that do name "
            "nobody (`envoi senders list`)"
        )


def _event_form(explained: Explained, replies: dict[int, Listed]) -> dict[str, object]:
    event = explained.event
    return {
        "event": {
            "id": explained.event_id,
            "uid": explained.uid,
            "application": event.application,
            "kind": event.kind,
            "actor": event.actor or None,
            "subject": event.subject or None,
            "people": {role: list(names) for role, names in event.people.items()},
            "facts": dict(event.facts),
            "key": event.key or None,
            **both("occurred_at", event.occurred_at_ms),
            **both("stored_at", explained.stored_at_ms),
            **both("content_removed_at", explained.removed_at_ms),
        },
        "is_routed": explained.is_routed,
        "problem": explained.problem or None,
        "decisions": [
            *(_chosen_form(one, replies) for one in explained.chosen),
            *(_skipped_form(one) for one in explained.skipped),
        ],
    }


def _chosen_form(one: Chosen, replies: dict[int, Listed]) -> dict[str, object]:
    found = replies.get(one.delivery_id)
    return {
        "event": one.event_id,
        "person": one.person,
        "name": one.name or None,
        "sender": one.sender,
        "is_chosen": True,
        "because": str(one.because),
        "why": one.because.why.value,
        "delivery": one.delivery_id,
        "address": one.address,
        "state": one.state.value,
        "relay": (found.relay or None) if found else None,
        "last_reply": (found.last_reply or None) if found else None,
    }


def _skipped_form(one: PassedOver) -> dict[str, object]:
    return {
        "event": one.event_id,
        "person": one.person,
        "name": one.name or None,
        "sender": one.sender,
        "is_chosen": False,
        "because": str(one.because),
        "why": one.because.why.value,
    }
