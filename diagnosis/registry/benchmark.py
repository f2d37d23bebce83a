"""The comparison of architectures that is shown to staff: the one that is shipped, or a site's own."""

import json
from typing import Any

from django.conf import settings


def read() -> dict[str, Any] | None:
    """Return the result of `python -m ml.compare` in `COMPARISON_DIR`, or None where there is none."""
    path = settings.COMPARISON_DIR / "comparison.json"
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
