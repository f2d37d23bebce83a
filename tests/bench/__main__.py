"""`make bench`: how long things take, as a table and, with `--json FILE`, as rows of JSON."""

import argparse
import json
import os
import platform
import secrets
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]
PARTS = ("model", "site", "pace", "viewer", "pages")


def prepare_site(folder: Path) -> None:
    """Give this process a site of its own: settings, database, static files and model in `folder`."""
    os.environ.update(
        DATA_DIR=str(folder),
        SECRET_KEY=secrets.token_urlsafe(64),
        DJANGO_SETTINGS_MODULE="pneumoweb.settings",
        LOG_LEVEL="ERROR",
        TF_CPP_MIN_LOG_LEVEL="3",
    )
    os.environ.pop("DATABASE_URL", None)
    os.environ.pop("BROKER_URL", None)
    import django

    django.setup()
    from diagnosis.management.commands.serve import prepare

    prepare()


def measure(only: Sequence[str]) -> list[Row]:
    from tests.bench import model, pace, pages, site, viewer

    parts: dict[str, Callable[[], list[Row]]] = dict(
        zip(PARTS, (model.rows, site.rows, pace.rows, viewer.rows, pages.rows), strict=True)
    )
    found: list[Row] = []
    for name in only or parts:
        sys.stderr.write(f"measuring: {name} …\n")
        found += parts[name]()
    return found


def table(rows: Sequence[Row]) -> str:
    """Return the rows as text. Every figure is a median of several runs."""
    lines = [f"{'what':72} {'figure':>10} {'unit':10} {'ratio':>8} {'CPU ms':>8} {'queries':>7}"]
    for row in rows:
        if "ms_a_film" in row:
            what = row["what"] if row["batch"] == 1 else f"{row['what']}, batch of {row['batch']}"
            figure, unit, ratio = row["ms_a_film"], "ms a film", row.get("ratio", row.get("share", ""))
        else:
            what, figure, unit, ratio = row["what"], row["figure"], row["unit"], row.get("ratio", "")
        more = f"{row.get('cpu_ms', '')!s:>8} {row.get('queries', '')!s:>7}"
        lines.append(f"{what:72} {figure:10.3f} {unit:10} {ratio!s:>8} {more}".rstrip())
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows here")
    parser.add_argument("--only", nargs="+", default=[], choices=PARTS, help="measure only these")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="pneumoweb-bench-") as folder:
        prepare_site(Path(folder))
        rows = measure(options.only)
    sys.stdout.write(table(rows) + "\n")
    if options.json:
        machine = {
            "python": platform.python_version(),
            "machine": platform.platform(),
            "cores": os.cpu_count(),
        }
        options.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
