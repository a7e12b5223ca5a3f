"""This room tells what is wrong with a template: file, line and reason, and never a secret."""

import traceback
from collections.abc import Iterator, Mapping

import jinja2

from envoi.core.kind import Plain
from envoi.errors import TemplateError

COMPILE_FAILURES = (jinja2.TemplateError, OSError, ValueError, RecursionError)
# Everything that the sandbox's operators, filters and calls can raise.
RENDER_FAILURES = (
    jinja2.TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RecursionError,
    StopIteration,
    TypeError,
    ValueError,
)
# A shorter value says nothing when it stands in a message, and would hide half of them.
_MIN_HIDDEN_CHARS = 4


def told(err: Exception, file: str, data: Mapping[str, Plain] | None = None) -> TemplateError:
    """Return the error in our words.

    Args:
        err: What the template library or one of its operators raised.
        file: The part that was rendered, for an error that names no line.
        data: What the template saw; a message that quotes any of it is not shown.
    """
    where, line = _place(err, file)
    because = _because(err, data or {})
    return TemplateError(f"{where}:{line}: {because}" if line else f"{where}: {because}")


def _place(err: Exception, file: str) -> tuple[str, int]:
    if isinstance(err, jinja2.TemplateSyntaxError):
        return err.filename or file, err.lineno
    # The library rewrites its traceback so that frames name template files and lines.
    for frame in reversed(traceback.extract_tb(err.__traceback__)):
        if frame.filename.endswith((".txt", ".html")):
            return frame.filename, frame.lineno or 0
    return file, 0


def _because(err: Exception, data: Mapping[str, Plain]) -> str:
    if isinstance(err, jinja2.TemplateNotFound):
        return f"no template named {err.name!r} in any folder"
    if not isinstance(err, jinja2.TemplateError):
        return f"{type(err).__name__} in the template"
    message = str(err.message or type(err).__name__)
    if any(value in message for value in _texts(dict(data)) if len(value) >= _MIN_HIDDEN_CHARS):
        return f"{type(err).__name__}; its message quotes a fact and is not shown"
    return message


def _texts(value: Plain) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for cell in value.values():
            yield from _texts(cell)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
