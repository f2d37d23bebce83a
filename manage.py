#!/usr/bin/env python
"""Django's command line for PneumoWeb."""

import os
import sys
from pathlib import Path

from django.core.management import execute_from_command_line

from pneumoweb.server.first_run import prepare_data_folder

if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        # The settings refuse to load without a secret key, so it is made before them.
        prepare_data_folder(Path(os.environ.get("DATA_DIR") or Path(__file__).resolve().parent / "media"))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pneumoweb.settings")
    execute_from_command_line(sys.argv)
