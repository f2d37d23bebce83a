"""The embedded broker."""

from pathlib import Path


def embedded_url(directory: Path) -> str:
    """Return the URL of the embedded broker that keeps its files in `directory`."""
    return f"redis+socket://{directory / 'redis.sock'}"
