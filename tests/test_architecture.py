"""What may import what, looked up in processes of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT

HEAVY = {"tensorflow", "keras", "ai_edge_litert", "torch", "jax"}
ML = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "ml").rglob("*.py")
    if path.stem != "__init__"
)


def imported_by(script: str, data: Path) -> set[str]:
    """Return the top-level packages that a fresh Python has imported after `script`."""
    ending = "\nimport json, sys\nprint(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    variables = {
        **os.environ,
        "DATA_DIR": str(data),
        "SECRET_KEY": "only-for-one-process-of-the-tests",
        "DJANGO_SETTINGS_MODULE": "pneumoweb.settings",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    done = subprocess.run(
        [sys.executable, "-c", script + ending],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_web_process_never_imports_the_network(tmp_path: Path) -> None:
    script = (
        "from django.core.handlers.wsgi import WSGIHandler\n"
        "import pneumoweb.wsgi\n"
        "from django.urls import get_resolver\n"
        "assert len(list(get_resolver().reverse_dict)) > 10\n"
    )
    imported = imported_by(script, tmp_path)
    assert {"django", "celery", "diagnosis", "ml"} <= imported
    assert imported & HEAVY == set()


def test_the_look_finds_what_it_looks_for(tmp_path: Path) -> None:
    assert "ai_edge_litert" in imported_by("import ai_edge_litert", tmp_path)


def test_all_of_ml_is_looked_at() -> None:
    assert {
        "ml.images.radiograph",
        "ml.predict",
        "ml.artifact.folder",
        "ml.networks.sequential",
        "ml.train",
    } <= set(ML)


def test_ml_imports_neither_django_nor_celery(tmp_path: Path) -> None:
    script = "\n".join(f"import {module}" for module in ML)
    imported = imported_by(script, tmp_path)
    assert "keras" in imported
    assert imported & {"django", "celery", "kombu", "diagnosis", "pneumoweb"} == set()


@pytest.mark.parametrize(
    "module", ["ml.predict", "ml.images.radiograph", "ml.artifact.folder", "ml.metrics.classification"]
)
def test_what_the_web_process_uses_of_ml_is_light(module: str, tmp_path: Path) -> None:
    assert imported_by(f"import {module}", tmp_path) & HEAVY == set()
