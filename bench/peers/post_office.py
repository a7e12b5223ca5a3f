"""This room is django-post-office: mail stored in Django's database, sent by its own command.

Option `way`: `loop` stores mail by mail, `send_many` a hundred at once. Its command then sends
everything, as its cron job does; that it runs in this process saves it a start of Python.
"""

import sys
import time
from typing import Any

from bench import mails, order
from bench.peers import django_site

BATCH = 100


def main() -> None:
    """Do what the order says."""
    wanted = order.read(sys.argv)
    django_site.set_up(
        wanted.place,
        wanted.port,
        app="post_office",
        EMAIL_BACKEND="post_office.EmailBackend",
        # It renders templates where there are some, and asks for an engine of this name.
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        POST_OFFICE={"BACKENDS": {"default": "django.core.mail.backends.smtp.EmailBackend"}},
    )
    store = _store_many if wanted.option("way") == "send_many" else _store_each

    def work(numbers: range) -> order.Told:
        from django.core.management import call_command

        began_s = time.perf_counter()
        store(wanted, numbers)
        stored_s = time.perf_counter() - began_s
        call_command("send_queued_mail", verbosity=0)
        return {"stored_s": stored_s}

    order.serve(wanted, work)


def _store_each(wanted: order.Order, numbers: range) -> None:
    from post_office import mail

    for number in numbers:
        mail.send(**_mail(wanted, number))


def _store_many(wanted: order.Order, numbers: range) -> None:
    from post_office import mail

    for first in range(numbers.start, numbers.stop, BATCH):
        some = range(first, min(first + BATCH, numbers.stop))
        mail.send_many([_mail(wanted, number) for number in some])


def _mail(wanted: order.Order, number: int) -> dict[str, Any]:
    said = mails.words(wanted.size)
    return {
        "recipients": [mails.recipient(number)],
        "sender": mails.SENDER,
        "subject": said.subject,
        "message": said.text,
        "html_message": said.html,
    }


if __name__ == "__main__":
    main()
