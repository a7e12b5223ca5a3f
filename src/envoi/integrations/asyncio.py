"""This room reports what an asyncio loop found that nobody awaited."""

import asyncio
from collections.abc import Callable
from typing import Any

from envoi.integrations.logging import LoggedError
from envoi.mailer import Mailer


def report_loop(
    mailer: Mailer, loop: asyncio.AbstractEventLoop | None = None, *, release: str = ""
) -> Callable[[], None]:
    """Report what a loop's exception handler is called for, beside what that one does.

    Args:
        mailer: Tells `errors.to`.
        loop: The loop; None: the one that runs now.
        release: Version of the application.

    Returns:
        What takes it back.
    """
    loop = loop or asyncio.get_running_loop()
    before = loop.get_exception_handler()

    def tell(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception") or LoggedError(f"asyncio: {context.get('message')}")
        if isinstance(error, Exception):
            # The loop has other things to do than to wait for a disk.
            mailer.report(error, release=release, wait_s=0)
        if before is None:
            loop.default_exception_handler(context)
        else:
            before(loop, context)

    loop.set_exception_handler(tell)
    return lambda: loop.set_exception_handler(before)
