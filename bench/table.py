"""This room prints results as a table of text, and as JSON for programs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from statistics import median

from bench.rounds import Result, ratio
from bench.rows import Group

_GAP = "  "
# Below a bound, so many digits behind the point.
_DIGITS = ((1, 3), (10, 2))


def lines_of(group: Group, results: Sequence[Result]) -> Iterator[str]:
    """Return a group's part of the table."""
    reference = next((one for one in results if one.row.name == group.reference), None)
    first, *others = group.columns
    x = f"; x: ratio to {group.reference}, median of the rounds" if reference else ""
    head = ("", first.heading, "min..max", "x", *(one.heading for one in others), "bytes")
    yield ""
    yield f"{group.title}{x}"
    yield from columns([head, *(_cells(group, result, reference) for result in results)])
    yield from (f"{one.row.name}: {one.because:.200}" for one in results if one.because)


def _cells(group: Group, result: Result, reference: Result | None) -> tuple[str, ...]:
    first, *others = group.columns
    values = result.of(first.of)
    ratios = ratio(result, reference, first.of) if reference else ()
    return (
        result.row.name,
        figure(result.median(first.of)) or "-",
        f"{figure(min(values))}..{figure(max(values))}" if len(values) > 1 else "",
        figure(median(ratios)) if ratios else "",
        *(figure(result.median(column.of)) for column in others),
        figure(result.mail_bytes),
    )


def figure(value: float) -> str:
    """Return a figure with about three digits that count.

    >>> [figure(value) for value in (0, 0.0314, 3.14159, 31.4159, 31415.9)]
    ['', '0.031', '3.14', '31', '31,416']
    """
    if not value:
        return ""
    digits = next((digits for bound, digits in _DIGITS if abs(value) < bound), 0)
    return f"{value:,.{digits}f}"


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Return rows as lines with columns: the first to the left, the others to the right."""
    # A column with nothing but its head says nothing.
    kept = [at for at in range(len(rows[0])) if not at or any(row[at] for row in rows[1:])]
    rows = [[row[at] for at in kept] for row in rows]
    widths = [max(len(row[at]) for row in rows) for at in range(len(kept))]
    for row in rows:
        first = row[0].ljust(widths[0])
        others = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield _GAP.join([first, *others]).rstrip()


def form_of(group: Group, results: Sequence[Result]) -> Mapping[str, object]:
    """Return a group's results as plain values."""
    return {
        "group": group.name,
        "title": group.title,
        "reference": group.reference,
        "rows": [
            {
                "name": one.row.name,
                "load": asdict(one.row.load),
                "mail_bytes": one.mail_bytes,
                "because": one.because,
                "runs": [asdict(run) for run in one.runs],
            }
            for one in results
        ],
    }
