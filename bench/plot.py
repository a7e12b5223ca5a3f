"""This room draws the plots of the docs as SVG: how cost grows, and who carries how much."""

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from bench import table
from bench.alone import SIZES
from bench.rounds import Result
from bench.rows import told

_WIDTH, _LEFT, _TOP, _BAR = 720, 270, 40, 22
_PLOT = (70, 40, 620, 240)
_COLOURS = ("#2a6f97", "#c8553d", "#588157")
_OURS, _THEIRS = "#2a6f97", "#9aa5ad"


def bars(title: str, results: Sequence[Result]) -> str:
    """Return a bar per row: mails per second, on a scale of tens.

    Args:
        title: Over the bars.
        results: Of one group; those without a figure are left out.
    """
    rates = [(one.row.name, one.median(lambda run: run.rate)) for one in results if one.runs]
    top = max((rate for _, rate in rates), default=10.0)
    decades = math.ceil(math.log10(top))
    scale = (_WIDTH - _LEFT - 80) / max(decades - 1, 1)
    height = _TOP + _BAR * len(rates) + 30
    return _page(height, _bars(title, rates, scale, decades))


def growth(results: Sequence[Result]) -> str:
    """Return what a mail costs beside ever more stored ones, a line per row.

    Args:
        results: Of the group `growth`.
    """
    lines = {
        one.row.name.rpartition(", ")[2]: [
            (size, one.median(told(f"x_{size}"))) for size in SIZES if one.median(told(f"x_{size}"))
        ]
        for one in results
    }
    return _page(340, _growth({name: points for name, points in lines.items() if points}))


def _bars(
    title: str, rates: Sequence[tuple[str, float]], scale: float, decades: int
) -> Iterator[str]:
    yield _text(10, 20, title, weight="bold")
    bottom = _TOP + _BAR * len(rates)
    for decade in range(1, decades + 1):
        x = _LEFT + scale * (decade - 1)
        yield _line(x, _TOP, x, bottom)
        yield _text(x, bottom + 16, f"{10**decade:,}/s", anchor="middle")
    for at, (name, rate) in enumerate(rates):
        y = _TOP + _BAR * at
        length = max(2.0, scale * (math.log10(max(rate, 10.0)) - 1))
        colour = _OURS if name.startswith("Envoi") else _THEIRS
        yield _text(_LEFT - 8, y + 15, name, anchor="end")
        yield (
            f'<rect x="{_LEFT}" y="{y + 3}" width="{length:.1f}" height="{_BAR - 6}" '
            f'fill="{colour}"/>'
        )
        yield _text(_LEFT + length + 6, y + 15, table.figure(rate))


def _growth(lines: Mapping[str, Sequence[tuple[int, float]]]) -> Iterator[str]:
    left, top, width, height = _PLOT
    most = max([1.5, *(cost for points in lines.values() for _, cost in points)]) * 1.1
    first, last = math.log10(SIZES[0]), math.log10(SIZES[-1])

    def place(size: float, cost: float) -> tuple[float, float]:
        x = left + width * (math.log10(size) - first) / (last - first)
        return x, top + height * (1 - cost / most)

    yield _text(10, 20, "Cost of a mail beside stored ones (1.0: beside 1,000)", weight="bold")
    for size in SIZES:
        x, _ = place(size, 0)
        yield _line(x, top, x, top + height)
        yield _text(x, top + height + 18, f"{size:,}", anchor="middle")
    for cost in (0.5, 1.0, 1.3):
        _, y = place(SIZES[0], cost)
        yield _line(left, y, left + width, y)
        yield _text(left - 8, y + 4, f"{cost:.1f}", anchor="end")
    for (name, points), colour in zip(lines.items(), _COLOURS, strict=False):
        placed = [place(*point) for point in points]
        way = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        yield f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="2"/>'
        for (x, y), (_, cost) in zip(placed, points, strict=True):
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
            yield _text(x, y - 8, f"{cost:.2f}", anchor="middle")
        yield _text(*_below(placed[-1]), name, colour=colour, anchor="end")


def _below(point: tuple[float, float]) -> tuple[float, float]:
    return point[0], point[1] + 18


def _page(height: float, shapes: Iterator[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" '
        'font-family="sans-serif" font-size="12">'
    )
    # A page in the dark would show black words on black.
    ground = f'<rect width="{_WIDTH}" height="{height:.0f}" fill="white"/>'
    return "\n".join([head, ground, *shapes, "</svg>", ""])


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="#ddd"/>'


def _text(
    x: float,
    y: float,
    words: str,
    *,
    anchor: str = "start",
    weight: str = "normal",
    colour: str = "#222",
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" '
        f'fill="{colour}">{escape(words)}</text>'
    )
