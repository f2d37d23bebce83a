"""How far a batch is, in words."""

from django import template

from diagnosis.intake.batches.queries import Progress

register = template.Library()


@register.filter
def batch_word(progress: Progress) -> str:
    """Say in a few words where the batch stands."""
    if progress.total == 0:
        return "The zip is on its way" if progress.in_zip else "No films yet"
    done = f"{progress.done} of {progress.total} done"
    if not progress.is_settled:
        return done
    return f"{done}: the rest waits for you" if progress.undecided else f"All {progress.total} done"


@register.filter
def time_left(progress: Progress) -> str:
    """Say the time left as one would: rounded, and only where it can be told."""
    if progress.is_settled:
        return ""
    if progress.seconds_left is None:
        return "time left not known yet"
    if progress.seconds_left < 90:
        return f"about {max(5, 5 * round(progress.seconds_left / 5))} s left"
    return f"about {round(progress.seconds_left / 60)} min left"


@register.filter
def last_of_path(name: str) -> str:
    """Return the file's own name: the folders before it are the same for all films of a list."""
    return name.rsplit("/", 1)[-1]
