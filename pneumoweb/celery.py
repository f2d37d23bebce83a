"""The Celery app. Messages only wake workers: the database is the queue's truth (see diagnosis.inference.worker)."""

import os

from celery import Celery
from celery.signals import worker_process_init

from pneumoweb.server.processes import die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pneumoweb.settings")

app = Celery("pneumoweb")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_process_init.connect
def end_with_the_worker(**_: object) -> None:
    """A pool's child whose worker was killed would wait for messages that nobody hands on."""
    die_with_parent()
