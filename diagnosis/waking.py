"""Waking workers: a message says only that something waits, so no more of them wait than can be of use.

While a worker is dead or busy for hours, whatever wakes it finds that a message is there already. Each kind of work has
a queue of its own: how many messages wait in it says exactly how many wait for that kind.
"""

import logging

from celery import Task
from kombu import Producer
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)


def send(task: Task, most: int = 1) -> bool:
    """Wake a worker for `task`, unless `most` messages wait for one; return False where the broker is away.

    Whoever takes a waiting message looks into the database after this call, and so finds what the caller committed.
    The work waits in the database in any case.
    """
    try:
        with task.app.producer_or_acquire() as producer:
            if waiting(task, producer) < most:
                task.apply_async(producer=producer)
    except (OperationalError, OSError) as error:
        log.warning("no worker was woken, the broker is away (%s); reconcile will", error)
        return False
    return True


def waiting(task: Task, producer: Producer) -> int:
    """Return how many messages wait in the task's queue, those in a worker's hands aside."""
    queue = task.app.amqp.router.route({}, task.name)["queue"]

    def count() -> int:
        # Declaring a queue that exists changes nothing, and every broker answers with its length.
        found: int = producer.channel.queue_declare(queue=queue.name, durable=queue.durable).message_count
        return found

    patience = task.app.conf.task_publish_retry_policy
    # Where there is no connection yet, asking for a channel would wait for the broker with a patience of its own.
    producer.connection.ensure_connection(**patience)
    length: int = producer.connection.ensure(producer, count, **patience)()
    return length
