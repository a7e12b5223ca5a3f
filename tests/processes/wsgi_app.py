"""An application with mail inside: what gunicorn loads, begun at import as the docs show it."""

import json
import logging
import os

from envoi import Mailbox, Mailer, ReadyMail
from envoi.addresses import parse_address

logging.basicConfig(level=logging.INFO, format="%(process)d %(levelname)s %(message)s")

mailer = Mailer.from_file(os.environ["ENVOI_CONFIG"])
mailer.start()


def app(environ, start_response):
    """Hand over one mail per request; the path names who gets it."""
    recipient = Mailbox(parse_address(environ["PATH_INFO"].lstrip("/")))
    receipt = mailer.send(ReadyMail(to=(recipient,), subject="Hi", text="Hello"))
    body = json.dumps({"stored": receipt.stored, "pid": os.getpid()}).encode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]
