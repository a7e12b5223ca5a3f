"""This room prints results as a table of text, and as JSON for programs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from bench.rounds import Result, ratio
from bench.rows import Group
from bench.running import Measured

HEAD = (
    "", "mails/s", "min..max", "x", "store us", "CPU us", "server us", "peak MB", "bytes",
)  # fmt: skip
_GAP = "  "
# Below a bound, so many digits behind the point.
_DIGITS = ((1, 3), (10, 2))


def lines_of(group: Group, results: Sequence[Result]) -> Iterable[str]:
    """Return a group's part of the table.

    Args:
        group: Its title and its reference.
        results: Of its rows.
    """
    reference = next((one for one in results if one.row.name == group.reference), None)
    rows = [cells_of(result, reference) for result in results]
    yield ""
    yield f"{group.title} (x: median of the rounds' ratios to {group.reference})"
    yield from columns([HEAD, *rows])
    yield from (f"{one.row.name}: {one.because:.200}" for one in results if one.because)


def cells_of(result: Result, reference: Result | None) -> tuple[str, ...]:
    """Return a row as it is shown."""
    if not result.runs:
        return (result.row.name, "-", *[""] * (len(HEAD) - 2))
    rates = result.of(lambda run: run.rate)
    ratios = ratio(result, reference) if reference else ()
    return (
        result.row.name,
        figure(result.median(lambda run: run.rate)),
        f"{figure(min(rates))}..{figure(max(rates))}",
        figure(_median(ratios)) if ratios else "",
        figure(result.median(stored_us)),
        figure(result.median(lambda run: run.cpu_us)),
        figure(result.median(lambda run: run.server_us)),
        figure(result.median(lambda run: run.peak_mb)),
        figure(result.mail_bytes),
    )


def stored_us(run: Measured) -> float:
    """Return what storing a mail took, by the clock, microseconds; 0 when nothing is stored."""
    stored_s = run.told.get("stored_s", 0.0)
    assert isinstance(stored_s, int | float)
    return stored_s / run.count * 1e6


def figure(value: float) -> str:
    """Return a figure with about three digits that count.

    >>> [figure(value) for value in (0, 0.0314, 3.14159, 31.4159, 31415.9)]
    ['', '0.031', '3.14', '31', '31,416']
    """
    if not value:
        return ""
    digits = next((digits for bound, digits in _DIGITS if abs(value) < bound), 0)
    return f"{value:,.{digits}f}"


def columns(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """Return rows as lines with columns: the first to the left, the others to the right."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
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


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
