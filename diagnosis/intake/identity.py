"""Does the identity that a DICOM file offers belong to this patient?"""

import unicodedata
from collections.abc import Iterator
from datetime import date
from functools import cache
from itertools import count, product

from django.db.models import QuerySet
from django.utils.formats import date_format

from diagnosis.models import Patient
from ml.images.decoded import Offered

_TRANSLITERATIONS = {
    "ä": ("a", "ae"), "æ": ("a", "ae"), "å": ("a", "aa", "ae"),
    "ö": ("o", "oe"), "ø": ("o", "oe"), "œ": ("o", "oe"), "ő": ("o", "oe"),
    "ü": ("u", "ue"), "ű": ("u", "ue"),
    "ō": ("o", "ou", "oo", "oh"), "ū": ("u", "uu"),
    "đ": ("d", "dj"), "ð": ("d", "dh"), "þ": ("th",),
    "ł": ("l",), "ı": ("i",), "ħ": ("h",), "ŧ": ("t",), "ŋ": ("n", "ng"), "ə": ("e", "a"),
}  # fmt: skip
"""Letters that are written in more than one way. Every other letter just loses its accents."""

_MAX_VARIABLE_LETTERS = 6
"""A word with more of them is only spelled with the first or the last transliteration throughout."""

_MAX_WORDS = 8
"""Names of more words are compared word by word, without joining words."""

_MAX_STEPS = 5_000
"""Names that take more steps to compare are taken as different, so that a person is asked."""

_APOSTROPHES = set("'`´‘’‚‛′‵＇ʹʺʻʼʽʾʿˈˊˋꞌ՚׳״\u0640")
"""Letters and marks that are left out within a word; the last is the Arabic letter extender."""

Difference = tuple[str, str, str]
"""What differs, what the file says, what the patient's record says; in words, to be shown and not to be stored."""


def differences(offered: Offered, patient: Patient) -> list[Difference]:
    """Return where the file and the patient's record contradict each other. What one of them does not say is no
    contradiction; nor are spelling (see `same_name`) or a second name that only one of them has."""
    found: list[Difference] = []
    if offered.mrn and _plain(offered.mrn) != _plain(patient.mrn):
        found.append(("patient number", offered.mrn, patient.mrn))
    if offered.name and not has_name(offered, patient.name):
        found.append(("name", offered.name, patient.name))
    if offered.birth_date and patient.birth_date and offered.birth_date != patient.birth_date:
        found.append(("birth date", day(offered.birth_date), day(patient.birth_date)))
    if offered.sex and patient.sex != Patient.Sex.UNKNOWN and offered.sex != patient.sex:
        found.append(("sex", str(Patient.Sex(offered.sex).label), patient.get_sex_display()))
    return found


def find(patients: QuerySet[Patient], offered: Offered) -> list[Patient]:
    """Return those of `patients` who have the file's number, or its birth date and name."""
    found = list(patients.filter(mrn__iexact=offered.mrn)) if offered.mrn else []
    if offered.birth_date and offered.name:
        born = patients.filter(birth_date=offered.birth_date).exclude(pk__in=[p.pk for p in found])
        found += [patient for patient in born if has_name(offered, patient.name)]
    return found


def has_name(offered: Offered, name: str) -> bool:
    """Whether one of the file's name groups (alphabetic, ideographic, phonetic) is this name."""
    groups = [group for group in offered.name_groups.split("=") if group.strip(" ^")]
    return any(same_name(group, name) for group in (offered.name, *groups))


def same_name(one: str, other: str) -> bool:
    """True for names of the same words, in any order, with or without spaces, hyphens, apostrophes and accents.

    The words of one may all be among the other's, if they are two or more.
    """
    first, second = _words(one), _words(other)
    return _consists_of(first, second) or _consists_of(second, first)


def day(value: date) -> str:
    return date_format(value)


def _consists_of(long: list[str], short: list[str]) -> bool:
    """Whether the words of `short`, in some order, are written with words of `long`, each used once.

    All of `long` is needed unless two or more words of each agree: “Li Na” is not “Lina Schmidt”.
    """
    if not short or not long:
        return not short and not long
    spellings = [[_spellings(word) for word in words] for words in (long, short)]
    if max(len(long), len(short)) > _MAX_WORDS:
        found = [any(word & other for other in spellings[0]) for word in spellings[1]]
        return all(found) and (len(short) > 1 or len(long) == 1)

    steps = count()

    @cache
    def matches(left: frozenset[int], right: frozenset[int], pending: str, pending_is_long: bool) -> bool:
        """`pending`: letters that so far stand on one side only."""
        if next(steps) > _MAX_STEPS:
            return False
        if not pending and not right:
            return not left or min(len(short), len(long) - len(left)) > 1
        # Letters that stand on one side are looked for in the words of the other.
        side, remaining = (1, right) if not pending or pending_is_long else (0, left)
        for index in remaining:
            rest = remaining - {index}
            next_left, next_right = (left, rest) if side else (rest, right)
            for spelling in spellings[side][index]:
                if pending.startswith(spelling):
                    open_part, open_is_long = pending[len(spelling) :], pending_is_long
                elif spelling.startswith(pending):
                    open_part, open_is_long = spelling[len(pending) :], side == 0
                else:
                    continue
                if matches(next_left, next_right, open_part, open_is_long):
                    return True
        return False

    return matches(frozenset(range(len(long))), frozenset(range(len(short))), "", False)


def _words(name: str) -> list[str]:
    """The different words of a name, with their accents."""
    name = "".join(c for c in name if c not in _APOSTROPHES and unicodedata.category(c) != "Cf")
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    apart = "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in folded)
    return list(dict.fromkeys(apart.split()))


def _spellings(word: str) -> set[str]:
    letters = [_TRANSLITERATIONS.get(c) or (_unaccented(c),) for c in word]
    if sum(len(ways) > 1 for ways in letters) <= _MAX_VARIABLE_LETTERS:
        found: Iterator[tuple[str, ...]] = product(*letters)
    else:
        found = iter((tuple(ways[0] for ways in letters), tuple(ways[-1] for ways in letters)))
    return {"".join(spelling) for spelling in found} - {""}


def _plain(number: str) -> str:
    return "".join(_unaccented(number.casefold()).split())


def _unaccented(text: str) -> str:
    """Without accents and vowel points. Marks that make another letter (kana, Indic and Thai scripts) stay."""
    apart = unicodedata.normalize("NFKD", text)
    bare = "".join(c for c in apart if not _is_accent(c))
    return "".join(_hiragana(c) for c in unicodedata.normalize("NFC", bare))


def _is_accent(char: str) -> bool:
    position = unicodedata.combining(char)
    return position == 1 or 10 <= position <= 36 or position >= 200


def _hiragana(char: str) -> str:
    return chr(ord(char) - 0x60) if "ァ" <= char <= "ヶ" else char
