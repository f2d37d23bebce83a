"""What must exist before the settings can be read: the data folder and the installation's own secret key."""

import os
import secrets
from pathlib import Path


def write_secret(path: Path, text: str) -> None:
    """Write `text` to a new file that only its owner may read; a file that exists already is left alone."""
    if path.exists():
        return
    # Under its own name it appears whole or not at all.
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    partial.rename(path)


def prepare_data_folder(folder: Path) -> None:
    """Make the data folder, private to its owner, with a secret key in it unless the environment brings one."""
    os.umask(0o077)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    if not os.environ.get("SECRET_KEY") and not os.environ.get("SECRET_KEY_FILE"):
        write_secret(folder / "secret_key", secrets.token_urlsafe(64) + "\n")
