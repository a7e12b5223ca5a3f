"""This room is the Celery application: one task that writes a mail and sends it.

A worker keeps its connection to the relay, and acknowledges a task when its mail is sent: so
nothing is lost with it, as with every other peer that stores mail.
"""

import os
import smtplib
from functools import cache

from celery import Celery

from bench import mails

app = Celery("bench", broker=os.environ["BENCH_BROKER"])
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
)


@app.task
def send(number: int, said: dict[str, str]) -> None:
    """Send one mail; its words travel through the broker, as they do in an application."""
    _relay().send_message(mails.written(number, mails.Words(**said)))


@cache
def _relay() -> smtplib.SMTP:
    return smtplib.SMTP("127.0.0.1", int(os.environ["BENCH_PORT"]))
