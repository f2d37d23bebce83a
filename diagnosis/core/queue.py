"""Notify workers that work is queued.

A message says only that something waits, so no more of them wait than can be of use. While a worker is dead or busy for
hours, callers find that a message is there already. Each kind of work has a queue of its own: its length says exactly
how many messages of that kind wait. Tasks are named, not imported, so that the web process need not import the engine.
"""

import logging

from celery import Celery, current_app
from django.conf import settings
from kombu import Producer
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)

ANALYSE = "diagnosis.tasks.analyse_waiting"
EVALUATE = "diagnosis.tasks.evaluate_waiting"
SHADOW = "diagnosis.tasks.read_in_shadow"
TRAIN = "diagnosis.tasks.train_waiting"
UNPACK = "diagnosis.tasks.unpack_waiting"


def notify_worker(task: str = ANALYSE) -> bool:
    """Notify a worker of `task`; return False where the broker is away. The work stays queued in the database."""
    return send(current_app, task, settings.WORKERS if task == ANALYSE else 1)


def notify_training_worker() -> bool:
    """Notify the worker of training runs; return False where the broker is away."""
    return notify_worker(TRAIN)


def notify_unpacker() -> bool:
    """Notify a worker that a zip waits; return False where the broker is away."""
    return notify_worker(UNPACK)


def send(app: Celery, task: str, most: int = 1) -> bool:
    """Send a message for `task` unless `most` of them wait already; return False where the broker is away.

    Whoever takes a waiting message looks into the database after this call, and so finds what the caller committed.
    """
    try:
        with app.producer_or_acquire() as producer:
            if waiting(app, task, producer) < most:
                app.send_task(task, producer=producer)
    except (OperationalError, OSError) as error:
        log.warning("no worker was notified, the broker is away (%s); reconcile will", error)
        return False
    return True


def waiting(app: Celery, task: str, producer: Producer) -> int:
    """Return how many messages wait in the task's queue, those in a worker's hands aside."""
    queue = app.amqp.router.route({}, task)["queue"]

    def count() -> int:
        # Declaring a queue that exists changes nothing, and every broker answers with its length.
        found: int = producer.channel.queue_declare(queue=queue.name, durable=queue.durable).message_count
        return found

    retry = app.conf.task_publish_retry_policy
    # Where there is no connection yet, asking for a channel would wait for the broker with a retry policy of its own.
    producer.connection.ensure_connection(**retry)
    length: int = producer.connection.ensure(producer, count, **retry)()
    return length
