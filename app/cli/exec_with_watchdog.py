"""Executes a command with the parent-death signal and a niceness: `python -m app.cli.exec_with_watchdog PARENT NICENESS
COMMAND...`, for programs that cannot set them themselves; used by `app.cli.up`.
"""

from __future__ import annotations

import os
import sys

from models.priority import lower_priority
from models.watchdog import die_with_parent


def main(arguments: list[str]) -> None:
    """Replace this process by the command."""
    # The parent-death signal survives `exec`.
    parent, niceness, *command = arguments
    die_with_parent(int(parent))
    if int(niceness):
        lower_priority(int(niceness))
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
