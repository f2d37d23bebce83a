"""A patient's history as PDF: film, heatmap, answer, verdict, model and receipt, page by page.

Made in the web process, and so under limits: one at a time in each process, a bounded number of films, pictures made
small before they are kept.
"""

import importlib.util
import io
import logging
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from django.template.defaultfilters import date as said
from django.utils import timezone
from PIL import Image as Pictures
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.lib.utils import simpleSplit
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Frame,
    Image,
    KeepTogether,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
)

from diagnosis.core.formatting import age, percent
from diagnosis.models import Film, Patient, Prediction
from pneumoweb.accounts.models import User

log = logging.getLogger(__name__)

MOST_FILMS = 30
PICTURE_SIDE = 900  # pixels: 300 to the inch at the size in which a film is printed
MARGIN = 20 * mm
PICTURE_WIDTH = 80 * mm
PICTURE_HEIGHT = 84 * mm
HEAT = 0.55  # as the viewer begins
WAIT = 15.0  # seconds for one's turn
STATEMENT = (
    "PneumoWeb is decision support, not a diagnosis. The model knows only the picture; it does not replace the "
    "judgement of a clinician or a radiologist."
)
LINE, MUTED = HexColor("#c5ced8"), HexColor("#56636f")
_turn = threading.BoundedSemaphore(1)


class Busy(Exception):
    """Another report is being made, and one at a time is enough for this machine's memory."""


def history_pdf(patient: Patient, films: Sequence[Film], made_by: User) -> bytes:
    """Return the report on `films` (of `histories.films_for`), the newest first and at most `MOST_FILMS`.

    Raises Busy after `WAIT` seconds.
    """
    shown = films[: -MOST_FILMS - 1 : -1]
    with _one_at_a_time():
        story = _head(patient, made_by, len(shown), len(films))
        for film in shown:
            story += _film(patient, film)
        buffer = io.BytesIO()
        foot = _printable(f"{patient.name} · {patient.mrn}")
        document = BaseDocTemplate(
            buffer, pagesize=A4, title="Chest films: report", author="PneumoWeb", creator="PneumoWeb"
        )
        frame = Frame(
            MARGIN, 22 * mm, A4[0] - 2 * MARGIN, A4[1] - 38 * mm,
            leftPadding=0, rightPadding=0, topPadding=0, bottomPadding=0,
        )  # fmt: skip
        document.addPageTemplates([PageTemplate(frames=[frame])])
        document.build(story, canvasmaker=partial(_NumberedCanvas, foot=foot))
        return buffer.getvalue()


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    if not _turn.acquire(timeout=WAIT):
        raise Busy(
            "Other reports are being made at the moment. Nothing is lost: ask for yours again in a minute."
        )
    try:
        yield
    finally:
        _turn.release()


class _NumberedCanvas(Canvas):
    """Writes "page n of all" and the statement under each page, once it is known how many there are."""

    def __init__(self, *args: Any, foot: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.foot = foot
        self.pages: list[dict[str, Any]] = []

    def showPage(self) -> None:  # noqa: N802 - reportlab's name
        self.pages.append(dict(self.__dict__))
        self._startPage()

    def save(self) -> None:
        for number, page in enumerate(self.pages, 1):
            self.__dict__.update(page)
            regular, _ = _fonts()
            self.setFillColor(MUTED)
            self.setFont(regular, 7)
            for line, words in enumerate(simpleSplit(STATEMENT, regular, 7, A4[0] - 2 * MARGIN)):
                self.drawCentredString(A4[0] / 2, (15 - 3.5 * line) * mm, words)
            self.drawString(MARGIN, 7 * mm, self.foot[:90])
            self.drawRightString(A4[0] - MARGIN, 7 * mm, f"page {number} of {len(self.pages)}")
            super().showPage()
        super().save()


def _head(patient: Patient, made_by: User, shown: int, total: int) -> list[Any]:
    today = timezone.localdate()
    born = (
        f"{said(patient.birth_date)} ({age(patient.birth_date, today)})"
        if patient.birth_date
        else "not known"
    )
    facts = [
        ("Patient", patient.name), ("Number", patient.mrn), ("Born", born), ("Sex", patient.get_sex_display()),
        ("Clinic", str(patient.clinic)), ("Made", f"{said(timezone.localtime(), 'j M Y, H:i')} by {made_by}"),
    ]  # fmt: skip
    films = f"{shown} film{'' if shown == 1 else 's'}, the newest first"
    if total > shown:
        older = total - shown
        films += f"; {older} older film{' is' if older == 1 else 's are'} left out and can be had one by one"
    return [
        _words("Chest films", "title"),
        _sheet([*facts, ("Films", films)]),
        Spacer(0, 3 * mm),
        _words(STATEMENT, "note"),
    ]


def _film(patient: Patient, film: Film) -> list[Any]:
    prediction = film.latest_prediction
    study = film.study
    title = f"{said(study.taken_on)}, {study.get_view_display()}, {age(patient.birth_date, study.taken_on)}"
    facts = [
        ("File", f"{film.name}, {film.width} × {film.height} pixels, {film.bits} bits, {film.source_format}")
    ]
    if study.note:
        facts.append(("Note", study.note))
    top = [Spacer(0, 6 * mm), _words(title, "heading"), _pictures(film, prediction), Spacer(0, 2 * mm)]
    answer = _answer(prediction) if prediction else [("Answer", "The film has not been read.")]
    older = [_older(other) for other in film.predictions.all()[1:]]
    return [KeepTogether([*top, _sheet([*answer, *older, *facts]), *_receipt(prediction)])]


def _answer(prediction: Prediction) -> list[tuple[str, str]]:
    facts = [("Answer", _said(prediction))]
    facts += [("Warning", warning) for warning in prediction.warnings]
    facts += [("Verdict", verdict) for verdict in _verdicts(prediction)] or [("Verdict", "Not reviewed")]
    version = prediction.model_version
    facts.append(("Model", f"{version.name}, artifact {version.artifact_hash}"))
    if prediction.finished_at:
        facts.append(("Answered", said(timezone.localtime(prediction.finished_at), "j M Y, H:i")))
    return facts


def _said(prediction: Prediction) -> str:
    if prediction.concealed:
        return "Kept back until your own verdict is committed."
    if prediction.probability is not None:
        return (
            f"{prediction.get_label_display()}: probability of pneumonia {percent(prediction.probability)}, "
            f"threshold {percent(prediction.threshold)}"
        )
    return " ".join([f"{prediction.get_state_display()}.", *prediction.reasons, prediction.failure]).strip()


def _older(prediction: Prediction) -> tuple[str, str]:
    verdicts = "".join(f" {verdict}." for verdict in _verdicts(prediction))
    return ("Other version", f"{prediction.model_version}: {_said(prediction)}.{verdicts}")


def _verdicts(prediction: Prediction) -> list[str]:
    """Return what reviewers said, the verdict that counts first."""
    return [
        f"{review.get_verdict_display()}, {review.reviewer}, {said(timezone.localtime(review.at), 'j M Y, H:i')}"
        + (f": {review.remark}" if review.remark else "")
        for review in prediction.reviews.all()
        if not review.is_withdrawn
    ]


def _receipt(prediction: Prediction | None) -> list[Any]:
    if prediction is None or not prediction.receipt:
        return []
    facts = [(str(key), str(value)) for key, value in prediction.receipt.items()]
    return [
        Spacer(0, 2 * mm),
        _words("Receipt: the same film through the same version must give the same answer.", "note"),
        _sheet(facts, "tiny"),
    ]


def _pictures(film: Film, prediction: Prediction | None) -> Any:
    picture = _grey(film)
    if picture is None:
        return _words("The film's picture is missing in the storage. Tell your administrator.", "body")
    cells = [[_printed(picture)], [_words("Film", "note")]]
    heat = _heat(prediction, picture)
    if heat is not None:
        cells[0].append(_printed(heat))
        cells[1].append(
            _words("With the heatmap: brighter where the model saw evidence of pneumonia", "note")
        )
    return Table(
        cells,
        colWidths=[85 * mm] * len(cells[0]),
        hAlign="LEFT",
        style=[("LEFTPADDING", (0, 0), (-1, -1), 0), ("VALIGN", (0, 0), (-1, -1), "TOP")],
    )


def _grey(film: Film) -> Pictures.Image | None:
    """Return the film at 8 bits, at most `PICTURE_SIDE` pixels a side."""
    try:
        with (
            film.file.open("rb") as file,
            Pictures.open(file, formats=["PNG"]) as stored,
        ):
            pixels = np.asarray(stored)
    except FileNotFoundError:
        log.error("%s is missing in the storage", film.file.name)
        return None
    picture = Pictures.fromarray(pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8))
    picture.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
    return picture


def _heat(prediction: Prediction | None, film: Pictures.Image) -> Pictures.Image | None:
    if prediction is None or not prediction.heatmap:
        return None
    try:
        with (
            prediction.heatmap.open("rb") as file,
            Pictures.open(file, formats=["PNG"]) as stored,
        ):
            heat = stored.convert("RGBA").resize(film.size, Pictures.Resampling.BICUBIC)
    except FileNotFoundError:
        log.error("%s is missing in the storage", prediction.heatmap.name)
        return None
    both = film.convert("RGB")
    both.paste(heat.convert("RGB"), mask=heat.getchannel("A").point(lambda alpha: alpha * HEAT))
    return both


def _printed(picture: Pictures.Image) -> Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88)
    buffer.seek(0)
    scale = min(PICTURE_WIDTH / picture.width, PICTURE_HEIGHT / picture.height)
    return Image(buffer, picture.width * scale, picture.height * scale, hAlign="LEFT")


def _sheet(facts: Sequence[tuple[str, str]], size: str = "body") -> Table:
    rows = [[_words(name, f"{size}-muted"), _words(value, size)] for name, value in facts]
    style = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (0, -1), 0),
        ("TOPPADDING", (0, 0), (-1, -1), 1.2), ("BOTTOMPADDING", (0, 0), (-1, -1), 1.2),
        ("LINEBELOW", (0, 0), (-1, -1), 0.25, LINE),
    ]  # fmt: skip
    return Table(rows, colWidths=[28 * mm, 142 * mm], style=style, hAlign="LEFT")


def _words(text: str, style: str) -> Paragraph:
    return Paragraph(escape(_printable(text)), _styles()[style])


@cache
def _styles() -> dict[str, ParagraphStyle]:
    regular, bold = _fonts()

    def style(size: float, font: str = regular, **more: Any) -> ParagraphStyle:
        return ParagraphStyle("", fontName=font, fontSize=size, leading=size * 1.35, splitLongWords=1, **more)

    return {
        "title": style(18, bold, spaceAfter=6),
        "heading": style(11.5, bold, spaceAfter=5),
        "note": style(8, textColor=MUTED, spaceAfter=2),
        "body": style(9),
        "body-muted": style(9, textColor=MUTED),
        "tiny": style(6.5),
        "tiny-muted": style(6.5, textColor=MUTED),
    }


@cache
def _fonts() -> tuple[str, str]:
    """Register DejaVu Sans, which matplotlib brings: Latin, Greek, Cyrillic and more, embedded in the file."""
    package = importlib.util.find_spec("matplotlib")
    if package is None or package.origin is None:
        raise RuntimeError("matplotlib, whose fonts the reports use, is not installed.")
    folder = Path(package.origin).parent / "mpl-data" / "fonts" / "ttf"
    for name, file in (("PneumoWeb", "DejaVuSans.ttf"), ("PneumoWeb-Bold", "DejaVuSans-Bold.ttf")):
        pdfmetrics.registerFont(TTFont(name, folder / file))
    return "PneumoWeb", "PneumoWeb-Bold"


def _printable(text: str) -> str:
    """Return the text with what the font lacks as U+ numbers: a name must not silently lose letters."""
    regular, _ = _fonts()
    known = pdfmetrics.getFont(regular).face.charToGlyph
    letters = unicodedata.normalize("NFC", text)
    return "".join(c if ord(c) in known else " " if c.isspace() else f"[U+{ord(c):04X}]" for c in letters)
