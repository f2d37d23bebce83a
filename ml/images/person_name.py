"""Names of persons as DICOM has them: groups of scripts with `=` between, their parts with `^` between."""

import unicodedata

_CJK = ("CJK ", "HIRAGANA ", "KATAKANA", "HALFWIDTH KATAKANA", "HANGUL ", "BOPOMOFO ", "IDEOGRAPHIC ")
"""Scripts that write a person's name family first and without a space, as their letters' Unicode names begin."""


def spoken_name(group: str) -> str:
    """One name group as it is written in its script: `Given Family`, or family and given name without a space."""
    family, given, middle, prefix, suffix, *_ = [*(" ".join(p.split()) for p in group.split("^")), *[""] * 5]
    letters = [c for c in group if c.isalpha()]
    if letters and all(unicodedata.name(c, "").startswith(_CJK) for c in letters):
        return "".join((prefix, family, given, middle, suffix)).replace(" ", "")[:200]
    return " ".join(part for part in (prefix, given, middle, family, suffix) if part)[:200]
