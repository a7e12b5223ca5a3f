"""This room lists what Envoi is measured beside: peers and Envoi doing the same work."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from bench.rows import (
    AIOSMTPLIB,
    CELERY,
    DJANGO_MAILER,
    POST_OFFICE,
    POSTFIX,
    RATES,
    REDIS,
    Group,
    Row,
)
from bench.running import Load, Program
from bench.sinks import Kind

SMTP_SOURCE_NAME = "smtp-source"
POST_OFFICE_NAME = "django-post-office"
SEND_MANY_NAME = "django-post-office send_many"
SYNCED_CELERY_NAME = "Celery + Redis, synced"
# Round trips to the relay in milliseconds: this machine, this site, this continent, another one.
ROUND_TRIPS_MS = (1, 10, 50)


def groups() -> tuple[Group, ...]:
    """Return the groups with peers in them."""
    return (
        _session(0),
        _session(10),
        Group(
            name="small",
            title="2 KB of text: handed over, delivered, counted at the sink",
            reference=POST_OFFICE_NAME,
            columns=RATES,
            rows=(*_peers("small"), *_walks("small"), *_broadcasts("small")),
        ),
        Group(
            name="large",
            title="15 KB of text and HTML: the same",
            reference=POST_OFFICE_NAME,
            columns=RATES,
            rows=(*_peers("large"), *_walks("large"), *_broadcasts("large")),
        ),
        *(_far(round_trip_ms) for round_trip_ms in ROUND_TRIPS_MS),
    )


def _session(round_trip_ms: int) -> Group:
    where = f"{round_trip_ms} ms to the relay and back" if round_trip_ms else "into one sink"
    count, quick = (6_000, 1_500) if round_trip_ms else (30_000, 10_000)
    load = Load(count=count, round_trip_ms=round_trip_ms)
    ours = Program(module="bench.envoi_session", is_apart=False)
    windowed = replace(ours, options={"window": 16})
    chunked = replace(load, sink=Kind.CHUNKING, count=count * (3 if round_trip_ms else 1))
    return Group(
        name=f"session{round_trip_ms}" if round_trip_ms else "session",
        title=f"2 KB of text, the SMTP session alone, {where}, 10 connections",
        reference=SMTP_SOURCE_NAME,
        columns=RATES,
        rows=(
            _smtp_source(load, quick),
            Row(name="Envoi session", program=ours, load=load, quick=quick),
            Row(name="Envoi session, CHUNKING 16", program=windowed, load=chunked, quick=quick),
        ),
    )


def _peers(size: str) -> Iterator[Row]:
    few = Load(count=1_500, size=size)
    yield _smtp_source(Load(count=30_000 if size == "small" else 15_000, size=size), 10_000)
    for name, keeps in (("smtplib, a connection per mail", "each"), ("smtplib, kept", "kept")):
        options = {"keeps": keeps}
        program = Program(module="bench.peers.smtplib_", options=options, is_apart=False)
        yield Row(name=name, program=program, load=few, quick=600)
    yield _aiosmtplib(replace(few, count=4_000), 1_500)
    for name, way in (
        (POST_OFFICE_NAME, "loop"),
        (SEND_MANY_NAME, "send_many"),
    ):
        program = Program(module="bench.peers.post_office", options={"way": way})
        yield Row(name=name, program=program, load=few, quick=500, needs=(POST_OFFICE,))
    program = Program(module="bench.peers.django_mailer")
    yield Row(name="django-mailer", program=program, load=few, quick=300, needs=(DJANGO_MAILER,))
    program = Program(module="bench.peers.celery_")
    load = replace(few, warm=50)
    yield Row(name=SYNCED_CELERY_NAME, program=program, load=load, quick=500, needs=(CELERY, REDIS))


def _smtp_source(load: Load, quick: int) -> Row:
    program = Program(module="bench.peers.smtp_source", is_apart=False, is_wrapper=True)
    return Row(name=SMTP_SOURCE_NAME, program=program, load=load, quick=quick, needs=(POSTFIX,))


def _aiosmtplib(load: Load, quick: int) -> Row:
    program = Program(module="bench.peers.aiosmtplib_")
    return Row(name="aiosmtplib", program=program, load=load, quick=quick, needs=(AIOSMTPLIB,))


# Name, way, who delivers, how many mails, and in a quick run.
_WAYS: Sequence[tuple[str, str, str, int, int]] = (
    ("Envoi events, then delivered", "events", "after", 2_000, 600),
    ("Envoi events, worker beside", "events", "beside", 2_000, 600),
    ("Envoi ready mail, then delivered", "ready", "after", 3_000, 800),
    ("Envoi ready mail, worker beside", "ready", "beside", 3_000, 800),
    ("Envoi events by 100, then delivered", "event_batches", "after", 3_000, 1_000),
    ("Envoi ready mail by 100, then delivered", "ready_batches", "after", 6_000, 1_500),
)


def _walks(size: str) -> Iterator[Row]:
    for is_on_postgresql in (False, True):
        for name, way, delivers, count, quick in _WAYS:
            options: Mapping[str, object] = {"way": way, "delivers": delivers}
            yield Row(
                name=f"{name}, PostgreSQL" if is_on_postgresql else name,
                program=Program(module="bench.envoi_walk", options=options, is_apart=False),
                load=Load(count=count, size=size),
                quick=quick,
                is_on_postgresql=is_on_postgresql,
            )


def _broadcasts(size: str) -> Iterator[Row]:
    for is_on_postgresql in (False, True):
        yield Row(
            name="Envoi broadcast, PostgreSQL" if is_on_postgresql else "Envoi broadcast",
            program=Program(module="bench.envoi_broadcast", is_apart=False),
            load=Load(count=50_000 if size == "small" else 10_000, warm=1, size=size),
            quick=5_000,
            is_on_postgresql=is_on_postgresql,
        )


def _far(round_trip_ms: int) -> Group:
    # So many that the slowest takes some seconds.
    slow = {1: 1_000, 10: 100, 50: 30}[round_trip_ms]
    parallel = {1: 6_000, 10: 3_000, 50: 1_000}[round_trip_ms]
    load = Load(count=parallel, round_trip_ms=round_trip_ms, warm=10)
    kept = Program(module="bench.peers.smtplib_", options={"keeps": "kept"}, is_apart=False)
    broadcast = Program(module="bench.envoi_broadcast", is_apart=False)
    return Group(
        name=f"far{round_trip_ms}",
        title=f"2 KB of text, {round_trip_ms} ms to the relay and back, 10 connections",
        reference=SMTP_SOURCE_NAME,
        columns=RATES,
        rows=(
            _smtp_source(load, parallel // 2),
            Row(
                name="smtplib, kept (1 connection)",
                program=kept,
                load=replace(load, count=slow),
                quick=slow // 2,
            ),
            _aiosmtplib(load, parallel // 2),
            Row(
                name="Envoi broadcast",
                program=broadcast,
                load=replace(load, warm=1),
                quick=parallel // 2,
            ),
        ),
    )
