"""Browser tests that make their rows themselves."""

import os

# Playwright's synchronous interface runs an event loop in the tests' thread; no code of the site runs in that loop.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
