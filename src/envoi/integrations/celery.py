"""This room reports tasks of Celery that fail for good; a retry is no failure.

    report_failures(Mailer.from_file())

stands where the application of Celery is made: the signal reaches every worker process.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, cast

from celery.signals import task_failure

from envoi.core.incident import Request
from envoi.core.portrait import portrait
from envoi.mailer import Mailer

# No visitor waits for a task, and a worker process may be replaced after it.
WAIT_S = 5.0


class _Signal(Protocol):
    def connect(self, receiver: Callable[..., None], *, weak: bool = True) -> object: ...

    def disconnect(self, receiver: Callable[..., None]) -> object: ...


def report_failures(mailer: Mailer, *, release: str = "") -> Callable[[], None]:
    """Report every task that fails; its arguments are told as a request's form is.

    Args:
        mailer: The process's; its thread begins in the process that runs the task.
        release: Version of the application.

    Returns:
        What takes it back.
    """
    signal = cast("_Signal", task_failure)

    def failed(
        sender: object = None,
        *,
        task_id: object = "",
        exception: BaseException | None = None,
        args: object = (),
        kwargs: object = None,
        **_more: Any,  # noqa: ANN401 # whatever a later Celery adds
    ) -> None:
        if isinstance(exception, Exception):
            request = Request(
                method="task",
                url=str(getattr(sender, "name", "")),
                headers=(("Task-Id", str(task_id)),),
                form=tuple(_arguments(args, kwargs)),
            )
            mailer.report(exception, request, release=release, wait_s=WAIT_S)

    signal.connect(failed, weak=False)
    return lambda: cast("None", signal.disconnect(failed))


def _arguments(args: object, kwargs: object) -> Iterator[tuple[str, str]]:
    if isinstance(args, list | tuple) and args:
        yield "args", portrait(list(cast("tuple[object, ...]", args)))
    if isinstance(kwargs, dict):
        for name, value in cast("Mapping[str, object]", kwargs).items():
            yield name, value if isinstance(value, str) else portrait(value)
