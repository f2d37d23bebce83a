"""The settings: safe by default, and every choice by an environment variable."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pneumoweb.server.first_run import prepare_data_folder
from tests.support.processes import MANAGE, ROOT

STRONG = "k" * 20 + "0123456789abcdefghijABCDEFGHIJ-_"


def settings_with(data: Path, *names: str, **variables: str) -> dict[str, object]:
    """Return the named settings of a fresh process with only these variables."""
    script = (
        "import json, sys\nfrom pneumoweb import settings\n"
        "print(json.dumps({name: getattr(settings, name) for name in sys.argv[1:]}, default=str))"
    )
    done = run([sys.executable, "-c", script, *names], DATA_DIR=str(data), **variables)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def run(command: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)


def test_without_a_key_nothing_starts(tmp_path: Path) -> None:
    done = run([sys.executable, MANAGE, "check"], DATA_DIR=str(tmp_path))
    assert done.returncode != 0
    assert "Set SECRET_KEY or SECRET_KEY_FILE" in done.stderr


def test_a_key_comes_from_variable_file_or_data_folder(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("from the file\n")
    assert settings_with(tmp_path, "SECRET_KEY", SECRET_KEY_FILE=str(file)) == {"SECRET_KEY": "from the file"}
    (tmp_path / "secret_key").write_text("from the folder\n")
    assert settings_with(tmp_path, "SECRET_KEY") == {"SECRET_KEY": "from the folder"}
    found = settings_with(tmp_path, "SECRET_KEY", SECRET_KEY="from the variable", SECRET_KEY_FILE=str(file))
    assert found == {"SECRET_KEY": "from the variable"}


def test_the_first_run_makes_a_key_of_its_own_and_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SECRET_KEY", raising=False)
    keys = []
    for name in ("one", "two"):
        prepare_data_folder(tmp_path / name)
        keys.append((tmp_path / name / "secret_key").read_text())
        prepare_data_folder(tmp_path / name)
        assert (tmp_path / name / "secret_key").read_text() == keys[-1]
    assert keys[0] != keys[1]
    assert min(map(len, keys)) > 50
    monkeypatch.setenv("SECRET_KEY", STRONG)
    prepare_data_folder(tmp_path / "three")
    assert not (tmp_path / "three" / "secret_key").exists()


def test_defaults_are_safe(tmp_path: Path) -> None:
    found = settings_with(
        tmp_path,
        "DEBUG",
        "ALLOWED_HOSTS",
        "SESSION_COOKIE_HTTPONLY",
        "X_FRAME_OPTIONS",
        "HOST",
        SECRET_KEY=STRONG,
    )
    assert found == {
        "DEBUG": False,
        "ALLOWED_HOSTS": ["localhost", "127.0.0.1", "[::1]"],
        "SESSION_COOKIE_HTTPONLY": True,
        "X_FRAME_OPTIONS": "DENY",
        "HOST": "127.0.0.1",
    }


def test_production_settings_pass_djangos_check() -> None:
    done = run(
        [sys.executable, MANAGE, "check", "--deploy", "--fail-level", "WARNING"],
        SECRET_KEY=STRONG,
        HTTPS="1",
        ALLOWED_HOSTS="pneumoweb.example",
    )
    assert done.returncode == 0, done.stderr


def test_an_external_broker_replaces_the_embedded_one(tmp_path: Path) -> None:
    names = ("CELERY_BROKER_URL", "EMBEDDED_BROKER")
    found = settings_with(tmp_path, *names, SECRET_KEY=STRONG, BROKER_URL="redis://redis.example/0")
    assert found == {"CELERY_BROKER_URL": "redis://redis.example/0", "EMBEDDED_BROKER": None}


def test_postgresql_gets_none_of_sqlites_options(tmp_path: Path) -> None:
    found = settings_with(
        tmp_path, "DATABASES", SECRET_KEY=STRONG, DATABASE_URL="postgres://u:p%40ss@db.example:5433/x"
    )
    (database,) = found.values()
    assert isinstance(database, dict)
    facts = database["default"]
    assert (facts["ENGINE"], facts["HOST"], facts["PORT"]) == (
        "django.db.backends.postgresql",
        "db.example",
        5433,
    )
    assert facts["PASSWORD"] == "p@ss"
    assert "init_command" not in facts.get("OPTIONS", {})


def test_every_variable_is_in_the_docs() -> None:
    source = (ROOT / "pneumoweb" / "settings.py").read_text()
    variables = set(re.findall(r'env\.\w+\(\s*"([A-Z0-9_]+)"', source))
    assert len(variables) > 20
    page = (ROOT / "docs" / "settings.md").read_text()
    assert {name for name in variables if f"`{name}`" not in page} == set()
