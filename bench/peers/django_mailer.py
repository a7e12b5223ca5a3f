"""This room is django-mailer: mail stored in Django's database, sent by its own command."""

import sys
import time

from bench import mails, order
from bench.peers import django_site


def main() -> None:
    """Do what the order says."""
    wanted = order.read(sys.argv)
    django_site.set_up(
        wanted.place,
        wanted.port,
        app="mailer",
        EMAIL_BACKEND="mailer.backend.DbBackend",
        MAILER_EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend",
    )

    def work(numbers: range) -> order.Told:
        from mailer.engine import send_all

        began_s = time.perf_counter()
        _store(wanted, numbers)
        stored_s = time.perf_counter() - began_s
        send_all()
        return {"stored_s": stored_s}

    order.serve(wanted, work)


def _store(wanted: order.Order, numbers: range) -> None:
    from mailer import send_html_mail, send_mail

    said = mails.words(wanted.size)
    for number in numbers:
        to = [mails.recipient(number)]
        if said.html:
            send_html_mail(said.subject, said.text, said.html, mails.SENDER, to)
        else:
            send_mail(said.subject, said.text, mails.SENDER, to)


if __name__ == "__main__":
    main()
