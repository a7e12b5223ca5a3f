"""This room has the form of what is measured: rows in groups; the rows of a group run in turn."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from bench.running import Load, Measured, Program

# More rounds than anybody asks for.
MANY = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What must be installed for a row.

    Args:
        command: A command on PATH; empty for none.
        module: A module among the installed peers; empty for none.
        hint: What installs it.
    """

    command: str = ""
    module: str = ""
    hint: str = ""


POSTFIX = Need(command="smtp-source", hint="apt install postfix")
REDIS = Need(command="redis-server", hint="apt install redis-server")
PEERS = "make bench"
AIOSMTPLIB = Need(module="aiosmtplib", hint=PEERS)
POST_OFFICE = Need(module="post_office", hint=PEERS)
DJANGO_MAILER = Need(module="mailer", hint=PEERS)
CELERY = Need(module="celery", hint=PEERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table.

    Args:
        name: As it is shown; unique within its group.
        program: What is run.
        load: What it carries.
        quick: How many mails a quick run carries.
        quick_options: What else is different then.
        needs: What must be installed.
        is_on_postgresql: Whether it needs the server.
        limit_s: How long the measured part may take.
    """

    name: str
    program: Program
    load: Load
    quick: int
    quick_options: Mapping[str, object] = field(default_factory=dict[str, object])
    needs: tuple[Need, ...] = ()
    is_on_postgresql: bool = False
    limit_s: float = 120

    def quickly(self) -> "Row":
        """Return the row with the load of a quick run."""
        options = {**self.program.options, **self.quick_options}
        program = replace(self.program, options=options)
        return replace(self, program=program, load=replace(self.load, count=self.quick))


@dataclass(frozen=True, slots=True)
class Column:
    """A figure of a run.

    Args:
        heading: Over the column.
        of: Takes it from a run; 0 is shown as nothing.
    """

    heading: str
    of: Callable[[Measured], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rows that are compared with one another.

    Args:
        name: How `--only` finds it.
        title: Over its part of the table.
        reference: Name of the row that the others' ratios are of.
        rows: In the order of the table.
        columns: What is shown; ratios are of the first.
        max_rounds: What takes long or varies little is not run as often.
        is_quick: Whether a quick run has it.
    """

    name: str
    title: str
    reference: str
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    max_rounds: int = MANY
    is_quick: bool = True


def told(name: str) -> Callable[[Measured], float]:
    """Return what takes a figure that the program tells itself; 0 when it does not."""

    def of(run: Measured) -> float:
        value = run.told.get(name, 0.0)
        assert isinstance(value, int | float)
        return float(value)

    return of


def stored_us(run: Measured) -> float:
    """Return what storing a mail took, by the clock, in microseconds."""
    return told("stored_s")(run) / run.count * 1e6


COSTS = (
    Column("CPU us", lambda run: run.cpu_us),
    Column("server us", lambda run: run.server_us),
    Column("peak MB", lambda run: run.peak_mb),
)
RATES = (
    Column("mails/s", lambda run: run.rate),
    Column("store us", stored_us),
    *COSTS,
    Column("worker MB", lambda run: run.worker_mb),
)
