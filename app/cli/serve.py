"""The web server: `python -m app.cli.serve`."""

from __future__ import annotations

import argparse
import logging
import sys
from types import FrameType

import uvicorn

from app.main import create_app
from app.settings import AppSettings
from app.state import AppState, UnsafeStart
from models import watchdog

GRACE_SECONDS = 5
KEEP_ALIVE_SECONDS = 30


class Server(uvicorn.Server):
    """uvicorn's server, which ends event streams before it waits for connections."""

    def __init__(self, config: uvicorn.Config, app_state: AppState) -> None:
        super().__init__(config)
        self._app_state = app_state

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # An open event stream would delay the graceful shutdown until its timeout.
        if self.started:
            self._app_state.end_streams()
        super().handle_exit(sig, frame)


def main(arguments: list[str] | None = None) -> None:
    """Parse the arguments and serve until a signal."""
    parser = argparse.ArgumentParser(prog="python -m app.cli.serve", description="Serve Atelier's HTTP API and page.")
    parser.add_argument(
        "--watch-stdin", action="store_true", help="exit at EOF of standard input, which the parent holds open"
    )
    if parser.parse_args(arguments).watch_stdin:
        watchdog.die_with_parent()
        watchdog.watch(sys.stdin.buffer)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    serve(AppSettings())


def serve(settings: AppSettings) -> None:
    """Serve with these settings until a signal.

    Raises:
        SystemExit: the service would be accessible without a key.
    """
    app = create_app(settings)
    try:
        app.state.atelier.open_database()
    except UnsafeStart as refusal:
        sys.exit(f"atelier: {refusal}")
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    Server(config, app.state.atelier).run()


if __name__ == "__main__":
    main()
