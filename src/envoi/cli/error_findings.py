"""This room says for `envoi check` who is told of the application's errors, or why nobody is."""

from collections.abc import Iterator

from envoi.broken_links import ignored_patterns
from envoi.cli.findings import Finding, Level
from envoi.cli.typed import counted
from envoi.settings import Settings


def of_errors(settings: Settings) -> Iterator[Finding]:
    """Say what becomes of errors and of broken links."""
    errors = settings.errors
    if not errors.to:
        # Wanted by many: then the application's log has them.
        level = Level.WARNING if errors.not_found else Level.OK
        advice = f"name somebody: {settings.name_of('errors.to')}"
        yield Finding(level, "errors", "nobody is mailed of errors of the application", advice)
        return
    to = ", ".join(map(str, errors.to))
    if not errors.enabled:
        # A Kallithea has `debug`, an OMERO `omero.web.debug`: its own word is to be changed.
        said = f"errors are not mailed to {to}: {settings.name_of('errors.enabled')} says so"
        yield Finding(Level.WARNING, "errors", said, "right while somebody debugs, and only then")
        return
    yield Finding(Level.OK, "errors", f"mailed to {to}")
    if errors.not_found:
        patterns = counted(len(ignored_patterns(settings)), "pattern", "patterns")
        said = f"broken links are mailed too; {patterns} say what is none"
        yield Finding(Level.OK, "errors", said, "`envoi links ignored` prints them")
