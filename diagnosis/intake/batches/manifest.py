"""The manifest: a CSV that says whose film each file is. It is judged whole before anything is taken in."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime

from django.utils import timezone

from diagnosis.intake.batches.filenames import label
from diagnosis.intake.batches.matching import as_json, from_json
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
DAYS = ("%Y-%m-%d", "%d %b %Y", "%d %B %Y")

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
    for line, cells in _lines(content):
        file, identity, wrong = _row(cells)
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
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadManifest(
            ["The manifest is not UTF-8 text. Save it as “CSV UTF-8” and send that."]
        ) from error
    if "\0" in text:
        raise BadManifest(["The manifest is not a text file. Save it as “CSV UTF-8” and send that."])
    head = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count))
    try:
        columns = _columns(next(reader, []))
        for count, cells in enumerate(reader):
            if count >= MAX_LINES:
                raise BadManifest(
                    [f"The manifest has more than {MAX_LINES:,} lines. Send fewer films at a time."]
                )
            if any(cell.strip() for cell in cells):
                # The reader's own count: a quoted cell may hold line breaks.
                yield reader.line_num, dict(zip(columns, (" ".join(c.split()) for c in cells), strict=False))
    except csv.Error as error:
        raise BadManifest([f"Line {reader.line_num}: this is no line of a CSV ({error})."]) from error


def _columns(header: list[str]) -> list[str]:
    names = [" ".join(cell.replace("_", " ").split()).casefold() for cell in header]
    columns = [COLUMNS.get(name, "") for name in names]
    unknown = [cell for cell, column in zip(header, columns, strict=True) if cell.strip() and not column]
    faults = [f"Line 1: the column “{cell}” is not known." for cell in unknown]
    faults += [
        f"Line 1: the column “{needed}” is missing."
        for needed, column in (("file", "file"), ("patient number", "number"))
        if column not in columns
    ]
    twice = sorted({c for c in columns if c and columns.count(c) > 1})
    faults += [f"Line 1: there are two columns for the {column.replace('_', ' ')}." for column in twice]
    if faults:
        known = "file, patient number, name, birth date, sex, study date, view"
        raise BadManifest([*faults, f"The columns are: {known}."])
    return columns


def _row(cells: dict[str, str]) -> tuple[str, Offered, list[str]]:
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
    for column, words in (("birth_date", "birth date"), ("study_date", "study date")):
        days[column], fault = _day(cells.get(column, ""), words)
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


def _day(text: str, words: str) -> tuple[date | None, str]:
    if not text:
        return None, ""
    for form in DAYS:
        try:
            day = datetime.strptime(text, form).date()
        except ValueError:
            continue
        return (None, f"the {words} {text} lies in the future.") if day > timezone.localdate() else (day, "")
    return None, f"the {words} “{text}” is not a day as 2026-11-22 or 22 Nov 2026."


def _key(name: str) -> str:
    return label(name).casefold()


def _person(identity: Offered) -> tuple[str, date | None, str]:
    return (identity.name, identity.birth_date, identity.sex)


def _contrary(one: Offered, other: Offered) -> str:
    pairs = zip(("name", "birth date", "sex"), _person(one), _person(other), strict=True)
    return next((word for word, a, b in pairs if a and b and a != b), "")


def _joined(one: Offered, other: Offered) -> Offered:
    """A person of several lines: what one leaves out another may say."""
    name, birth_date, sex = (a or b for a, b in zip(_person(one), _person(other), strict=True))
    return replace(one, name=name, birth_date=birth_date, sex=sex)  # type: ignore[arg-type]


def _known(clinic: Clinic, numbers: set[str]) -> set[str]:
    """Return which of the case-folded numbers the clinic has."""
    mine = Patient.objects.filter(clinic=clinic).values_list("mrn", flat=True)
    return {mrn.casefold() for mrn in mine.iterator()} & numbers
