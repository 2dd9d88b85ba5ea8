"""The command line `atelier`: `up` runs the service, `keys` edits the database, all other commands are an HTTP client.

Heavy modules are imported inside the commands, so that `atelier --help` is fast.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from app.cli.client import Client
    from app.settings import AppSettings
    from models.records import Records

FORMATS = {".png": "png", ".webp": "webp", ".jpg": "jpeg", ".jpeg": "jpeg", ".npy": "npy", ".zip": "zip"}
EXIT_CODES = {"succeeded": 0, "failed": 1, "cancelled": 3, "paused": 4}
INTERRUPTED = 130

atelier = typer.Typer(
    help="Train a generative adversarial network on a folder of images, and serve the generator.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
keys = typer.Typer(help="API keys, written directly to the database: they can be made before the service starts.")
atelier.add_typer(keys, name="keys", no_args_is_help=True)
datasets = typer.Typer(help="Data sets: built in, or uploaded.")
atelier.add_typer(datasets, name="datasets", no_args_is_help=True)

Url = Annotated[str, typer.Option(help="Address of the service.", show_default="where `atelier up` serves")]
Key = Annotated[str, typer.Option(help="API key, if the service requires one.", show_default=False)]


@atelier.command()
def up() -> None:
    """Start everything: a private Redis, the workers and the web service. Ctrl-C stops them."""
    from app.cli.up import CannotStart
    from app.cli.up import up as run_service

    try:
        raise typer.Exit(run_service(_settings(), typer.echo))
    except CannotStart as problem:
        raise SystemExit(f"atelier: {problem}") from None


@atelier.command()
def train(
    name: Annotated[
        str | None,
        typer.Argument(metavar="PRESET", help="auto, or a name from GET /presets."),
    ] = None,
    preset: Annotated[str | None, typer.Option(help="The same, as an option.")] = None,
    dataset: Annotated[str | None, typer.Option(help="A name from `atelier datasets list`, or folder:PATH.")] = None,
    model: Annotated[str | None, typer.Option(help="Name to publish under.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Length, in passes over the data set.")] = None,
    kimg: Annotated[float | None, typer.Option(help="Length, in thousands of images.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    start: Annotated[
        str | None, typer.Option("--from", metavar="MODEL[@REF]", help="Start from this version, not random weights.")
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change one setting, such as generator.lr=0.001; repeatable."),
    ] = None,
    follow: Annotated[bool, typer.Option(help="Show progress until it ends; Ctrl-C does not stop the run.")] = False,
    url: Url = "",
    key: Key = "",
) -> None:
    """Start a training run.

    The preset auto chooses settings for the data set and the machine, and explains them in the run's log. With --follow
    the exit status is 0 for succeeded, 1 for failed, 3 for cancelled, 4 for paused.
    """
    if (name is None) == (preset is None):
        raise typer.BadParameter("name one preset, such as: atelier train auto --dataset mnist-mini")
    fields = {"preset": name or preset, "dataset": dataset, "model": model, "epochs": epochs, "kimg": kimg}
    fields["from"] = start
    body: dict[str, Any] = {field: value for field, value in fields.items() if value is not None}
    body["seed"] = seed
    body["overrides"] = dict(_assignment(text) for text in change or ())
    with _client(url, key) as client:
        run = client.post("/train", body)
        typer.echo(f"run {run['id']}: {run['preset']} on {run['dataset']}, to be published as {run['model']}")
        if follow:
            _follow(client, run["id"])


@atelier.command()
def follow(run: str, url: Url = "", key: Key = "") -> None:
    """Show a run's progress until it ends; Ctrl-C does not stop the run."""
    with _client(url, key) as client:
        _follow(client, run)


def _follow(client: Client, run: str) -> None:
    try:
        # Imported inside `try`, because the import is slow: Ctrl-C during it is handled too.
        from app.cli.follow import follow

        ended = follow(client, run)
    except KeyboardInterrupt:
        typer.echo(f"\nthe run continues; show it again with: atelier follow {run}")
        raise typer.Exit(INTERRUPTED) from None
    raise typer.Exit(EXIT_CODES[ended])


@atelier.command()
def runs(
    state: Annotated[str | None, typer.Option(help="Only runs in this state.")] = None,
    url: Url = "",
    key: Key = "",
) -> None:
    """List training runs, newest first."""
    with _client(url, key) as client:
        _print_columns(
            ("RUN", "STATE", "PRESET", "DATASET", "MODEL", "DONE"), map(_run_row, client.items("/train", state=state))
        )


def _run_row(run: dict[str, Any]) -> tuple[str, ...]:
    progress = run["progress"]
    done = f"{progress['fraction']:.0%} of {progress['total_kimg']:g} kimg" if progress else ""
    return (run["id"], run["state"], run["preset"], run["dataset"], run["model"], done)


@atelier.command()
def models(url: Url = "", key: Key = "") -> None:
    """List models, their newest version and their aliases."""
    with _client(url, key) as client:
        _print_columns(("MODEL", "VERSIONS", "ALIASES"), map(_model_row, client.items("/models")))


def _model_row(model: dict[str, Any]) -> tuple[str, ...]:
    states = Counter(version["state"] for version in model["versions"])
    versions = str(states.pop("whole", 0)) + "".join(f", {count} {state}" for state, count in sorted(states.items()))
    aliases = " ".join(f"{name}={number}" for name, number in model["aliases"].items())
    return (model["name"], versions, aliases)


@atelier.command()
def sample(
    n: Annotated[int, typer.Option("-n", help="Images.")] = 25,
    seed: Annotated[
        int | None, typer.Option(help="Image i of a seed is always the same.", show_default="drawn")
    ] = None,
    model: Annotated[str | None, typer.Option(help="NAME, NAME@VERSION or NAME@ALIAS.", show_default="newest")] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write.")] = Path("samples.png"),
    format: Annotated[  # noqa: A002  # the name in the API
        str | None, typer.Option(help="png, webp, jpeg, npy or zip.", show_default="by the file's name")
    ] = None,
    nrow: Annotated[int | None, typer.Option(help="Images per row.", show_default="square")] = None,
    scale: Annotated[int | None, typer.Option(help="Enlarge each pixel so many times.", show_default="1")] = None,
    url: Url = "",
    key: Key = "",
) -> None:
    """Generate images and write them to a file."""
    image_format = format or FORMATS.get(output.suffix.lower())
    if image_format is None:
        raise typer.BadParameter(f'"{output}" names no format: end it in {", ".join(FORMATS)}, or give --format')
    query = {"n": n, "seed": seed, "model": model, "format": image_format, "nrow": nrow, "scale": scale}
    with _client(url, key) as client:
        headers = client.download("/samples", output, **query)
    typer.echo(f"{output}: {n} images of {headers['X-Atelier-Model']}, seed {headers['X-Atelier-Seed']}")


@datasets.command("add")
def add_dataset(
    path: Annotated[Path, typer.Argument(help="A folder of images, or a zip, tar or tar.gz of one.", exists=True)],
    name: Annotated[str | None, typer.Option(help="Its name.", show_default="by the path")] = None,
    size: Annotated[int | None, typer.Option(help="Pixels on each side.", show_default="as proposed")] = None,
    crop: Annotated[str | None, typer.Option(help="centre or whole.", show_default="as proposed")] = None,
    wait: Annotated[bool, typer.Option(help="Wait until it is prepared, and show the validation report.")] = True,
    url: Url = "",
    key: Key = "",
) -> None:
    """Upload a data set.

    Subfolders are classes. Hidden files and links are skipped.
    """
    from app.cli import pack

    dataset = name or pack.name_of(path)
    with _client(url, key) as client:
        try:
            with typer.progressbar(length=pack.size_of(path), label=f"uploading {dataset}") as bar:
                chunks = pack.chunks_of(path, bar.update)
                client.upload("/datasets", {"name": dataset, "size": size, "crop": crop}, chunks)
        except OSError as problem:
            raise SystemExit(f"atelier: {path} cannot be uploaded: {problem}") from None
        if wait:
            _wait_for_dataset(client, dataset)


def _wait_for_dataset(client: Client, name: str) -> None:
    try:
        from app.cli.pack import report, wait_until_prepared

        view = wait_until_prepared(client, name)
    except KeyboardInterrupt:
        typer.echo(f"\nthe preparation of {name} continues; see: atelier datasets list")
        raise typer.Exit(INTERRUPTED) from None
    if view["state"] == "failed":
        raise SystemExit(f"atelier: {name} could not be prepared: {view['error']}")
    typer.echo(report(view))


@datasets.command("list")
def list_datasets(url: Url = "", key: Key = "") -> None:
    """List data sets, built in and uploaded."""
    with _client(url, key) as client:
        _print_columns(("DATASET", "STATE", "IMAGES", "CLASSES", "SIZE"), map(_dataset_row, client.items("/datasets")))


def _dataset_row(view: dict[str, Any]) -> tuple[str, ...]:
    progress = view["progress"]
    state = f"{view['state']} {progress['fraction']:.0%}" if progress else view["state"]
    shape = f"{view['size']} px, {'grey' if view['channels'] == 1 else 'colour'}" if view["size"] else ""
    count = "" if view["count"] is None else f"{view['count']:,}"
    return (view["name"], state, count, str(len(view["classes"]) or ""), shape)


@datasets.command("copy")
def copy_dataset(
    name: Annotated[str, typer.Argument(help="An uploaded data set.")],
    new: Annotated[str, typer.Argument(help="The name of the copy.")],
    size: Annotated[int | None, typer.Option(help="Pixels on each side.", show_default="as proposed")] = None,
    crop: Annotated[str | None, typer.Option(help="centre or whole.", show_default="as proposed")] = None,
    url: Url = "",
    key: Key = "",
) -> None:
    """Prepare the images of an uploaded data set with other options, as a new data set."""
    request = {"name": new, "size": size, "crop": crop}
    with _client(url, key) as client:
        client.post(f"/datasets/{name}/copy", {field: value for field, value in request.items() if value is not None})
        _wait_for_dataset(client, new)


@datasets.command("delete")
def delete_dataset(name: Annotated[str, typer.Argument(help="Its name.")], url: Url = "", key: Key = "") -> None:
    """Delete an uploaded data set; refused while a run that has not ended uses it."""
    with _client(url, key) as client:
        client.delete(f"/datasets/{name}")
    typer.echo(f"{name} is deleted")


@keys.command("add")
def add_key(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    scope: Annotated[
        list[str] | None, typer.Option(help="sample, train or admin; repeatable.", show_default="sample")
    ] = None,
) -> None:
    """Make a key. It is shown this once and stored only as a hash."""
    from models.records import SCOPES

    requested = set(scope or ("sample",))
    if unknown := requested.difference(SCOPES):
        raise typer.BadParameter(f"there is no scope {', '.join(sorted(unknown))}: use {', '.join(SCOPES)}")
    scopes = [each for each in SCOPES if each in requested]
    with _records() as records:
        identity, secret = records.add_key(name, scopes)
    typer.echo(f"{secret}\nkey {identity} for {name} ({', '.join(scopes)}); store it now: it is not shown again")


@keys.command("list")
def list_keys() -> None:
    """List keys, never their secrets."""
    with _records() as records:
        rows = [(key.id, key.name, " ".join(key.scopes), f"{key.created_at:%Y-%m-%d}") for key in records.keys()]  # noqa: SIM118
    _print_columns(("KEY", "NAME", "SCOPES", "MADE"), rows)


@keys.command("revoke")
def revoke_key(key: Annotated[str, typer.Argument(help="The key's id, as `atelier keys list` shows it.")]) -> None:
    """Revoke a key; a running service refuses it within seconds."""
    with _records() as records:
        if not records.revoke_key(key):
            raise SystemExit(f"atelier: there is no key {key}; see `atelier keys list`")
    typer.echo(f"key {key} is revoked")


@contextmanager
def _client(url: str, key: str) -> Iterator[Client]:
    from app.cli.client import Client, ClientError

    try:
        with Client(url or _own_address(), key) as client:
            yield client
    except ClientError as problem:
        raise SystemExit(f"atelier: {problem}") from None


@contextmanager
def _records() -> Iterator[Records]:
    from models.records import Records, RecordsError

    records = Records(_settings().database_url)
    try:
        records.migrate()
        yield records
    except RecordsError as problem:
        raise SystemExit(f"atelier: {problem}") from None
    finally:
        records.close()


def _own_address() -> str:
    from app.settings import own_address

    settings = _settings()
    return own_address(settings.host, settings.port)


def _settings() -> AppSettings:
    from pydantic import ValidationError

    from app.settings import AppSettings

    try:
        return AppSettings()
    except ValidationError as problem:
        lines = (f"ATELIER_{str(error['loc'][0]).upper()}: {error['msg']}" for error in problem.errors())
        raise SystemExit("atelier: a setting in the environment is not valid\n" + "\n".join(lines)) from None


def _assignment(text: str) -> tuple[str, Any]:
    """Parse `PATH=VALUE`. The value is JSON if it can be parsed, else text."""
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise typer.BadParameter(f'"{text}" is not a setting: expected PATH=VALUE, such as generator.lr=0.001')
    try:
        return path, json.loads(value)
    except ValueError:
        return path, value


def _print_columns(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = [head, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    for row in table:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def main() -> None:
    atelier(prog_name="atelier")
