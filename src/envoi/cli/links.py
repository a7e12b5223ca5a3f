"""This room is `envoi links`: links that lead nowhere, and what is not taken for one."""

from typing import Annotated

import typer

from envoi.broken_links import ignored_patterns
from envoi.cli.call import call_of, known_application
from envoi.cli.moments import both, local
from envoi.cli.typed import Application, Json, examples
from envoi.core.broken_link import Tally
from envoi.outbox import broken_links
from envoi.settings.ignored_links import SHIPPED

_MAX_WIDTH = 60


def add_to(app: typer.Typer) -> None:
    """Add `links` with its commands."""
    group = typer.Typer(
        name="links",
        help="Broken links (404): list, ignored.",
        no_args_is_help=True,
        epilog=examples("envoi links list", "envoi links ignored"),
    )
    group.command("list", epilog=examples("envoi links list", "envoi links list --json"))(show_all)
    group.command("ignored", epilog=examples(
        "envoi links ignored", "envoi links ignored > not_found_ignored.txt",
    ))(ignored)  # fmt: skip
    app.add_typer(group)


def show_all(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The latest so many.")] = 50,
    application: Application = "main",
    as_json: Json = False,
) -> None:
    """List broken links, those that were followed last first.

    They are counted where `errors.not_found` is true; the addresses of `errors.to` hear of the
    first one at once, and of what an hour brings in one mail.
    """
    screen = call_of(ctx).screen
    with call_of(ctx).mailer() as mailer, mailer.outbox.reading() as tx:
        known_application(mailer.parts.settings, application)
        found = broken_links.links(tx, application, limit=limit)
    if as_json:
        screen.document([_form(tally) for tally in found])
    elif not found:
        screen.note("no broken links")
    else:
        rows = [
            (tally.count, local(tally.last_at_ms), _cut(tally.link.referrer), _cut(tally.link.url))
            for tally in found
        ]
        screen.table(("COUNT", "LATEST", "REFERRER", "LEADS TO"), rows)


def ignored(ctx: typer.Context, as_json: Json = False) -> None:
    """Print the paths that are nobody's broken link: regular expressions, one per line.

    Without `errors.not_found_list` it is the shipped list as it stands, comments included: write
    it into a file, change it, and name the file there.
    """
    screen = call_of(ctx).screen
    settings = call_of(ctx).settings()
    if as_json:
        screen.document(list(ignored_patterns(settings)))
        return
    for line in (settings.errors.not_found_list or SHIPPED).read_text("utf-8").splitlines():
        screen.line(line)
    for pattern in settings.errors.not_found_ignored:
        screen.line(pattern)


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_WIDTH else f"{text[: _MAX_WIDTH - 3]}..."


def _form(tally: Tally) -> dict[str, object]:
    link = tally.link
    return {
        "application": link.application,
        "host": link.host,
        "is_internal": link.is_internal,
        "referrer": link.referrer,
        "url": link.url,
        "user_agent": link.user_agent,
        "client": link.client,
        "count": tally.count,
        "not_mailed_yet": tally.untold,
        **both("first", tally.first_at_ms),
        **both("latest", tally.last_at_ms),
    }
