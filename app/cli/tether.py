"""Runs a command that knows nothing of us so that it dies with the process that started it; used by `app.cli.up`.

`python -m app.cli.tether PARENT NICENESS COMMAND...` asks the kernel for that (Linux) and becomes the command.
"""

from __future__ import annotations

import os
import sys

from models.watchdog import die_with_parent


def main(arguments: list[str]) -> None:
    """Become the command; the wish to die with the parent outlives the change of program."""
    parent, niceness, *command = arguments
    die_with_parent(int(parent))
    os.nice(int(niceness))
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
