"""This room says who calls: the operating system's user."""

import os
import pwd


def system_user() -> str:
    """Return the name of the system's user who runs this process."""
    # Not from the environment, which says what its caller likes; an audit wants to know.
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        # In a container a user may have a number and no name.
        return f"uid {os.getuid()}"
