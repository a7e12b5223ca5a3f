"""This room lists what Envoi is measured beside itself: callers, waiting, growth, a million."""

from collections.abc import Mapping
from dataclasses import replace

from bench.rows import COSTS, RATES, Column, Group, Row, told
from bench.running import Load, Program
from bench.sinks import Kind

# As many stored mails as an outbox gets in a year of a busy application.
SIZES = (1_000, 10_000, 100_000, 1_000_000)
_ENGINES = (("SQLite", False), ("PostgreSQL", True))


def groups() -> tuple[Group, ...]:
    """Return the groups of Envoi alone."""
    return (_callers(), _waiting(), _growth(), _million())


def _callers() -> Group:
    load = Load(count=2_000, is_delivered=False)
    rows = tuple(
        _row(
            f"{callers} callers, {engine}" if callers > 1 else f"1 caller, {engine}",
            "bench.envoi_callers",
            {"callers": callers},
            load if callers == 1 else replace(load, count=6_400),
            quick=640,
            is_on_postgresql=is_on_postgresql,
        )
        for engine, is_on_postgresql in _ENGINES
        for callers in (1, 8, 64)
    )
    return Group(
        name="callers",
        title="2 KB of text, callers at once, each waiting until its mail is durably stored",
        reference="1 caller, SQLite",
        columns=(Column("stored/s", told("stored_per_s")), *COSTS),
        rows=rows,
    )


def _waiting() -> Group:
    # Warm is a hanging relay when every connection to it waits, and a mail behind each.
    idle = Load(count=40, warm=25, sink=Kind.OURS, is_delivered=False)
    hangs = replace(idle, sink=Kind.SILENT)
    rows = tuple(
        _row(
            f"relay {word}, {engine}",
            "bench.envoi_waiting",
            {"hangs": "yes"} if load is hangs else {},
            load,
            quick=20,
            is_on_postgresql=is_on_postgresql,
        )
        for engine, is_on_postgresql in _ENGINES
        for word, load in (("idle", idle), ("hangs", hangs))
    )
    return Group(
        name="waiting",
        title="One event at a time, worker beside: notify, and from its commit to the relay's 250",
        reference="relay idle, SQLite",
        columns=(
            Column("notify us", told("notify_us")),
            Column("95 %", told("notify_us_95")),
            Column("to 250 ms", told("sent_ms")),
            Column("95 %", told("sent_ms_95")),
        ),
        rows=rows,
    )


def _growth() -> Group:
    load = Load(count=500, warm=0, is_delivered=False)
    rows = tuple(
        _row(
            f"ready mail by 100, then delivered, {engine}",
            "bench.envoi_growth",
            {"sizes": [size for size in SIZES if size <= most]},
            load,
            quick=200,
            is_on_postgresql=is_on_postgresql,
        )
        for (engine, is_on_postgresql), most in zip(_ENGINES, (SIZES[-1], SIZES[-2]), strict=True)
    )
    return Group(
        name="growth",
        title="Cost of a mail beside stored ones, as a multiple of the same at 1,000",
        reference="",
        columns=tuple(Column(f"at {size:,}", told(f"x_{size}")) for size in reversed(SIZES)),
        rows=tuple(replace(row, limit_s=900, quick_options={"sizes": SIZES[:-1]}) for row in rows),
        max_rounds=1,
        is_quick=False,
    )


def _million() -> Group:
    load = Load(count=1_000_000, warm=1)
    row = _row("Envoi broadcast to 1,000,000", "bench.envoi_broadcast", {}, load, quick=50_000)
    return Group(
        name="million",
        title="2 KB of text to a million",
        reference="",
        columns=RATES,
        rows=(replace(row, limit_s=600),),
        max_rounds=1,
        is_quick=False,
    )


def _row(
    name: str,
    module: str,
    options: Mapping[str, object],
    load: Load,
    *,
    quick: int,
    is_on_postgresql: bool = False,
) -> Row:
    program = Program(module=module, options=options, is_apart=False)
    return Row(
        name=name, program=program, load=load, quick=quick, is_on_postgresql=is_on_postgresql
    )
