"""A transport that hands mail to an HTTP API instead of a relay.

Name it in the settings: `[transport]`, `default = "examples.http_transport:HttpApi"`.
"""

import os
from http import HTTPStatus
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from envoi.settings import Settings
from envoi.transport.custom import Outcome, Outgoing, accepted, denied, down, later, refused


class HttpApi:
    """Posts each mail to the address in `MAIL_API_URL`, with the key in `MAIL_API_KEY`."""

    def __init__(self, settings: Settings) -> None:
        """Take what the environment says; a variable that is missing is an error at start."""
        self._url = os.environ["MAIL_API_URL"]
        self._key = os.environ["MAIL_API_KEY"]
        self._timeout_s = settings.smtp.command_timeout_s

    def carry(self, outgoing: Outgoing) -> Outcome:
        """Post one mail; say what became of it."""
        request = Request(self._url, data=outgoing.content, method="POST")
        request.add_header("Authorization", f"Bearer {self._key}")
        request.add_header("Content-Type", "message/rfc822")
        request.add_header("X-Envelope-From", outgoing.mail_from)
        request.add_header("X-Envelope-To", outgoing.recipient)
        # The same at each attempt: the service can take a repeated mail once.
        request.add_header("Idempotency-Key", str(outgoing.delivery_id))
        try:
            with urlopen(request, timeout=self._timeout_s) as answer:
                return accepted(answer.read(500).decode("utf-8", "replace"))
        except HTTPError as err:
            return self._refusal(err)

    def _refusal(self, err: HTTPError) -> Outcome:
        with err:
            said = f"{err.code} {err.read(500).decode('utf-8', 'replace')}"
        match err.code:
            case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
                return denied(said)
            case HTTPStatus.SERVICE_UNAVAILABLE:
                return down(said)
            case HTTPStatus.TOO_MANY_REQUESTS:
                return later(said)
            case code if code < HTTPStatus.INTERNAL_SERVER_ERROR:
                return refused(said)
            case _:
                raise err  # whether it was taken is anybody's guess, so it is tried again
