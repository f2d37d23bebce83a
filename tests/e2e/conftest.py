"""Browser tests that make their rows themselves."""

import os

from playwright.sync_api import expect

# Playwright's synchronous interface runs an event loop in the tests' thread; no code of the site runs in that loop.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
# No test fails because a machine was slow: what is expected may take a minute.
expect.set_options(timeout=60_000)
