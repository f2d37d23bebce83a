"""The manifest: a CSV that says whose film each file is. It is judged whole before anything is taken in."""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from django.utils import timezone

from diagnosis.intake.batches.filenames import label
from diagnosis.intake.batches.matching import as_json, from_json
from diagnosis.intake.identity import same_name
from diagnosis.models import Patient
from ml.images.decoded import Offered
from pneumoweb.accounts.models import Clinic

MAX_BYTES = 2 * 1024 * 1024
MAX_LINES = 10_000
MOST_TOLD = 20

COLUMNS = {
    "file": "file", "file name": "file", "filename": "file",
    "patient number": "number", "number": "number", "mrn": "number", "patient": "number",
    "name": "name", "patient name": "name",
    "birth date": "birth_date", "date of birth": "birth_date", "born": "birth_date",
    "sex": "sex",
    "study date": "study_date", "date taken": "study_date", "date": "study_date",
    "view": "view",
}  # fmt: skip
SEXES = {
    "": "", "f": "F", "female": "F", "m": "M", "male": "M", "o": "O", "other": "O", "u": "", "unknown": "",
    "not known": "",
}  # fmt: skip
VIEWS = {"": "", "pa": "PA", "ap": "AP"}
DAY_COLUMNS = {"birth_date": "birth date", "study_date": "study date"}
MONTHS = ("%d %b %Y", "%d %B %Y", "%b %d %Y", "%B %d %Y")
_YEAR_FIRST = re.compile(r"(?P<year>\d{4})(?P<mark>[-/.]) ?(?P<month>\d{1,2})(?P=mark) ?(?P<day>\d{1,2})\.?")
_COMPACT = re.compile(r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)")
_DAY_FIRST = re.compile(r"(?P<day>\d{1,2})\. ?(?P<month>\d{1,2})\. ?(?P<year>\d{4})")
_EITHER = re.compile(r"(\d{1,2})([-/])(\d{1,2})\2(\d{4})")
_TIME = re.compile(r"[ T]\d{1,2}:\d\d(:\d\d(\.\d+)?)?$")
_SEPARATOR = re.compile(r'"?sep=(.)"?[,;\t ]*', re.IGNORECASE)
_SUSPICIOUS = re.compile(r"\w[¹³¼½¾£¥¦¨¬®±¸¿×÷‰†‡ˆ…]|[¹³¼½¾£¥¦¨¬®±¸¿×÷‰†‡ˆ…]\w|\w[“”„˜•›‹]\w")
"""Signs beside a letter where another code page than cp1252 has letters."""

Rows = dict[str, dict[str, str]]


class BadManifest(Exception):
    """The manifest is refused whole; `faults` are sentences, each with its line."""

    def __init__(self, faults: list[str]) -> None:
        more = len(faults) - MOST_TOLD
        self.faults = faults[:MOST_TOLD] + ([f"… and {more} more."] if more > 0 else [])
        super().__init__(" ".join(self.faults))


def read(content: bytes, clinic: Clinic) -> Rows:
    """Return what the manifest says, by file. Raises BadManifest with every fault that it has.

    Columns in any order, with commas, semicolons or tabs between: file, patient number; where wanted name, birth date,
    sex, study date, view. A patient whom the clinic does not know yet needs a name.
    """
    faults: list[str] = []
    found: dict[str, Offered] = {}
    people: dict[str, tuple[int, Offered]] = {}
    lines: dict[str, int] = {}
    rows = list(_lines(content))
    orders = {column: _orders(cells.get(column, "") for _, cells in rows) for column in DAY_COLUMNS}
    for line, cells in rows:
        file, identity, wrong = _row(cells, orders)
        faults += [f"Line {line}: {fault}" for fault in wrong]
        if wrong:
            continue
        if file in found:
            faults.append(f"Line {line}: the file {cells['file']} stands in line {lines[file]} already.")
            continue
        number = identity.mrn.casefold()
        first, person = people.get(number, (line, identity))
        contrary = _contrary(person, identity)
        if contrary:
            faults.append(
                f"Line {line}: the {contrary} of patient {identity.mrn} is another one than in line {first}."
            )
        people[number] = first, _joined(person, identity)
        found[file], lines[file] = identity, line
    known = _known(clinic, set(people))
    faults += [
        f"Line {line}: the patient {person.mrn} is not registered, so the name is needed."
        for number, (line, person) in people.items()
        if not person.name and number not in known
    ]
    if faults:
        raise BadManifest(faults)
    if not found:
        raise BadManifest(["The manifest names no file: below its header there is nothing."])
    return {
        file: as_json(_joined(identity, people[identity.mrn.casefold()][1])) or {}
        for file, identity in found.items()
    }


def row_of(rows: Mapping[str, dict[str, str]], name: str) -> Offered | None:
    """Return the manifest's line of a file."""
    return from_json(rows.get(_key(name)))


def lists(rows: Mapping[str, dict[str, str]], name: str) -> bool:
    """Whether the manifest has a line of this file."""
    return _key(name) in rows


def from_numbers(numbers: Mapping[str, str]) -> Rows:
    """Return rows that give each file (by label) a patient number and nothing else."""
    return {_key(name): as_json(Offered(mrn=number)) or {} for name, number in numbers.items()}


def _lines(content: bytes) -> Iterator[tuple[int, dict[str, str]]]:
    if len(content) > MAX_BYTES:
        raise BadManifest(
            [f"The manifest is larger than {MAX_BYTES // 1024**2} MB. Send fewer films at a time."]
        )
    text = _decoded(content)
    head, rest = _first_line(text)
    skipped = 0
    if separator := _SEPARATOR.fullmatch(head):
        text, skipped = rest, 1
        head = separator[1]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count))
    try:
        columns = _columns(next(reader, []), 1 + skipped)
        for count, cells in enumerate(reader):
            if count >= MAX_LINES:
                raise BadManifest(
                    [f"The manifest has more than {MAX_LINES:,} lines. Send fewer films at a time."]
                )
            if any(cell.strip() for cell in cells):
                # The reader's own count: a quoted cell may hold line breaks.
                yield (
                    reader.line_num + skipped,
                    dict(zip(columns, (" ".join(c.split()) for c in cells), strict=False)),
                )
    except csv.Error as error:
        raise BadManifest(
            [f"Line {reader.line_num + skipped}: this is no line of a CSV ({error})."]
        ) from error


def _decoded(content: bytes) -> str:
    """The text: UTF-8, UTF-16 as Excel writes it, or the Western European code page (“ANSI”)."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ["utf-16"]
    elif content[1:2] == b"\0":
        encodings = ["utf-16-le"]
    elif content[:1] == b"\0":
        encodings = ["utf-16-be"]
    else:
        encodings = ["utf-8-sig", "cp1252"]
    text = ""
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding == "cp1252" and _is_other_code_page(text):
            text = ""
        break
    if "\0" in text or (content and not text):
        raise BadManifest(
            ["The manifest is not text that can be read for sure. Save it as “CSV UTF-8” and send that."]
        )
    return text


def _is_other_code_page(text: str) -> bool:
    """Whether cp1252 makes nonsense of the text: signs within words, or words of accented letters only."""
    words = [word for word in re.findall(r"[^\W\d_]{3,}", text) if not word.isascii()]
    return bool(_SUSPICIOUS.search(text)) or any(
        sum(not letter.isascii() for letter in word) > len(word) / 2 for word in words
    )


def _first_line(text: str) -> tuple[str, str]:
    head, *rest = re.split(r"\r\n|\r|\n", text, maxsplit=1)
    return head, "".join(rest)


def _columns(header: list[str], line: int) -> list[str]:
    names = [" ".join(cell.replace("_", " ").split()).casefold() for cell in header]
    columns = [COLUMNS.get(name, "") for name in names]
    unknown = [cell for cell, column in zip(header, columns, strict=True) if cell.strip() and not column]
    faults = [f"Line {line}: the column “{cell}” is not known." for cell in unknown]
    faults += [
        f"Line {line}: the column “{needed}” is missing."
        for needed, column in (("file", "file"), ("patient number", "number"))
        if column not in columns
    ]
    twice = sorted({c for c in columns if c and columns.count(c) > 1})
    faults += [f"Line {line}: there are two columns for the {column.replace('_', ' ')}." for column in twice]
    if faults:
        known = "file, patient number, name, birth date, sex, study date, view"
        raise BadManifest([*faults, f"The columns are: {known}."])
    return columns


def _row(cells: dict[str, str], orders: Mapping[str, str]) -> tuple[str, Offered, list[str]]:
    faults = [
        f"the {words} is empty."
        for words, c in (("file", "file"), ("patient number", "number"))
        if not cells.get(c)
    ]
    sex, view = SEXES.get(cells.get("sex", "").casefold()), VIEWS.get(cells.get("view", "").casefold())
    if sex is None:
        faults.append(f"the sex “{cells['sex']}” is none of F, M, O and U.")
    if view is None:
        faults.append(f"the view “{cells['view']}” is neither PA nor AP; only frontal films are read.")
    days: dict[str, date | None] = {}
    for column, words in DAY_COLUMNS.items():
        days[column], fault = _day(cells.get(column, ""), words, orders[column])
        faults += [fault] if fault else []
    if days["birth_date"] and days["study_date"] and days["study_date"] < days["birth_date"]:
        faults.append("the study date lies before the birth date.")
    faults += [
        f"the {words} is longer than {limit} characters."
        for words, column, limit in (("patient number", "number", 64), ("name", "name", 200))
        if len(cells.get(column, "")) > limit
    ]
    person = Offered(
        mrn=cells.get("number", ""),
        name=cells.get("name", ""),
        birth_date=days["birth_date"],
        sex=sex or "",
        study_date=days["study_date"],
        view=view or "",
    )
    return _key(cells.get("file", "")), person, faults


def _day(text: str, words: str, order: str) -> tuple[date | None, str]:
    """`order` is that of the column's days with slashes or hyphens: day first, month first, both, or none."""
    if not text:
        return None, ""
    plain = _TIME.sub("", text)
    if either := _EITHER.fullmatch(plain):
        first, second, year = int(either[1]), int(either[3]), int(either[4])
        day_first, month_first = _date(year, second, first), _date(year, first, second)
        if day_first and month_first and day_first != month_first:
            readings = f"it may be {day_first:%-d %b %Y} or {month_first:%-d %b %Y}. Write it as 2026-11-22."
            return None, f"the {words} “{text}” is not a day that can be read in one way only: {readings}"
        day = day_first or month_first
        if day and order == "both":
            return (
                None,
                f"the {words} “{text}” has another order than other days of the column. Write them as 2026-11-22.",
            )
    else:
        day = _clear_day(plain)
    if day is None:
        return None, f"the {words} “{text}” is not a day as 2026-11-22, 22.11.2026, 20261122 or 22 Nov 2026."
    return (None, f"the {words} {text} lies in the future.") if day > _latest_today() else (day, "")


def _clear_day(text: str) -> date | None:
    for pattern in (_YEAR_FIRST, _COMPACT, _DAY_FIRST):
        if found := pattern.fullmatch(text):
            return _date(int(found["year"]), int(found["month"]), int(found["day"]))
    words = " ".join(re.split(r"[-,. ]+", text))
    for form in MONTHS:
        try:
            return datetime.strptime(words, form).date()
        except ValueError:
            continue
    return None


def _orders(texts: Iterable[str]) -> str:
    """Say whether the days with slashes or hyphens that can be read in one way have the day or the month first."""
    found = set()
    for text in texts:
        if either := _EITHER.fullmatch(_TIME.sub("", text)):
            first, second = int(either[1]), int(either[3])
            found |= {"day"} if first > 12 >= second else {"month"} if second > 12 >= first else set()
    return "both" if len(found) > 1 else "".join(found)


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _latest_today() -> date:
    """Today where the day begins first, at UTC+14."""
    return (timezone.now().astimezone(UTC) + timedelta(hours=14)).date()


def _key(name: str) -> str:
    return label(name).casefold()


def _person(identity: Offered) -> tuple[str, date | None, str]:
    return (identity.name, identity.birth_date, identity.sex)


def _contrary(one: Offered, other: Offered) -> str:
    pairs = zip(("name", "birth date", "sex"), _person(one), _person(other), strict=True)
    different = (word for word, a, b in pairs if a and b and a != b)
    return next((word for word in different if word != "name" or not same_name(one.name, other.name)), "")


def _joined(one: Offered, other: Offered) -> Offered:
    """A person of several lines: what one leaves out another may say."""
    name, birth_date, sex = (a or b for a, b in zip(_person(one), _person(other), strict=True))
    return replace(one, name=name, birth_date=birth_date, sex=sex)  # type: ignore[arg-type]


def _known(clinic: Clinic, numbers: set[str]) -> set[str]:
    """Return which of the case-folded numbers the clinic has."""
    mine = Patient.objects.filter(clinic=clinic).values_list("mrn", flat=True)
    return {mrn.casefold() for mrn in mine.iterator()} & numbers
