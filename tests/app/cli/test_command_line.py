"""The command line where no service runs. With one, it is tried in `tests/e2e/test_up.py`."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.main import _assignment, atelier
from app.cli.up import free_port
from models.records import Records

runner = CliRunner()


@pytest.fixture(autouse=True)
def own_house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATELIER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ATELIER_PORT", str(free_port("127.0.0.1", 0)))


def test_help_loads_neither_torch_nor_anything_else_that_is_slow() -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom app.cli.main import atelier\n"
        "assert CliRunner().invoke(atelier, ['--help']).exit_code == 0\n"
        "print([m for m in ('torch', 'httpx', 'rich', 'pydantic', 'sqlalchemy', 'fastapi') if m in sys.modules])"
    )

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_help_names_every_command() -> None:
    text = runner.invoke(atelier, ["--help"]).output

    for command in ("up", "train", "follow", "runs", "models", "datasets", "sample", "keys"):
        assert re.search(rf"^  {command} ", text, re.MULTILINE)


@pytest.mark.parametrize(
    "command",
    [["models"], ["runs"], ["sample", "-o", "a.png"], ["train", "auto"], ["follow", "01abc"]],
    ids=lambda command: command[0],
)
def test_without_a_service_the_message_says_how_to_start_one(command: list[str], tmp_path: Path) -> None:
    result = runner.invoke(atelier, command)

    assert result.exit_code == 1
    assert result.output == (
        f"atelier: no service at http://127.0.0.1:{os.environ['ATELIER_PORT']}: "
        "start the service with `atelier up`, or name it with --url\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_an_address_without_a_scheme_is_refused() -> None:
    result = runner.invoke(atelier, ["models", "--url", "example.org:8000"])

    assert (result.exit_code, result.output) == (
        1,
        'atelier: "example.org:8000" is not an address: expected http://HOST:PORT\n',
    )


def test_a_setting_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_PORT", "eighty")

    result = runner.invoke(atelier, ["up"])

    assert result.exit_code == 1
    assert "ATELIER_PORT: Input should be a valid integer" in result.output
    assert "Traceback" not in result.output


def test_a_file_name_without_a_format_is_refused_before_anything_is_asked() -> None:
    result = runner.invoke(atelier, ["sample", "-o", "grid.tiff"])

    assert result.exit_code == 2
    assert '"grid.tiff" names no format' in result.output


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("batch_size=64", ("batch_size", 64)),
        ("generator.lr=1e-3", ("generator.lr", 1e-3)),
        ("generator.network.hidden=[128, 256]", ("generator.network.hidden", [128, 256])),
        ("loss=minimax", ("loss", "minimax")),
        ("note=a=b", ("note", "a=b")),
    ],
)
def test_a_change_is_read_as_json_or_else_as_text(text: str, expected: tuple[str, object]) -> None:
    assert _assignment(text) == expected


@pytest.mark.parametrize("text", ["batch_size", "=3"])
def test_a_change_without_path_or_value_is_refused(text: str) -> None:
    result = runner.invoke(atelier, ["train", "--preset", "mlp-mnist", "--set", text])

    assert result.exit_code == 2
    assert f'"{text}" is not a setting: expected PATH=VALUE' in result.output


@pytest.mark.parametrize("presets", [[], ["auto", "--preset", "mlp-mnist"]])
def test_a_training_without_a_preset_or_with_two_is_refused(presets: list[str]) -> None:
    result = runner.invoke(atelier, ["train", *presets, "--dataset", "mnist-mini"])

    assert result.exit_code == 2
    assert "name one preset" in result.output


def test_keys_are_made_listed_and_revoked_before_any_service_starts(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATELIER_DATABASE_URL", database_url)

    made = runner.invoke(atelier, ["keys", "add", "ada", "--scope", "train", "--scope", "sample"])
    secret, message = made.output.splitlines()
    identity = message.split()[1]
    assert message == f"key {identity} for ada (sample, train); store it now: it is not shown again"

    listed = runner.invoke(atelier, ["keys", "list"]).output
    assert re.search(rf"^{identity}\s+ada\s+sample train\s+\d{{4}}-\d\d-\d\d$", listed, re.MULTILINE)
    assert secret not in listed

    revoked = runner.invoke(atelier, ["keys", "revoke", identity])
    assert (revoked.exit_code, revoked.output) == (0, f"key {identity} is revoked\n")
    assert runner.invoke(atelier, ["keys", "list"]).output.splitlines() == ["KEY  NAME  SCOPES  MADE"]


def test_a_key_samples_unless_told_otherwise() -> None:
    runner.invoke(atelier, ["keys", "add", "ada"])

    records = Records(f"sqlite:///{Path('data/atelier.db').absolute()}")
    assert [key.scopes for key in records.keys()] == [("sample",)]  # noqa: SIM118
    records.close()


def test_an_unknown_scope_is_refused_naming_the_known_ones() -> None:
    result = runner.invoke(atelier, ["keys", "add", "ada", "--scope", "root"])

    assert result.exit_code == 2
    assert "there is no scope root: use sample, train, admin" in result.output


def test_revoking_an_unknown_key_fails_and_says_where_to_look() -> None:
    result = runner.invoke(atelier, ["keys", "revoke", "nobody"])

    assert (result.exit_code, result.output) == (1, "atelier: there is no key nobody; see `atelier keys list`\n")


def test_a_database_that_is_away_is_told_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")

    result = runner.invoke(atelier, ["keys", "list"])

    assert result.exit_code == 1
    assert result.output.startswith("atelier: ")
    assert "Traceback" not in result.output
