"""Patient numbers (medical record numbers)."""


def normalise_mrn(text: str) -> str:
    """Return the number as it is stored: without outer white space, inner white space as single spaces."""
    return " ".join(text.split())
