"""How fast the site takes in, reads and shows films. Needs settings and a prepared database."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
import zipfile
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.core.files.base import ContentFile
from PIL import Image

from diagnosis.core import queue
from diagnosis.inference import worker as inference_worker
from diagnosis.intake import decoder_pool
from diagnosis.intake import films as intake_films
from diagnosis.intake.batches import unpack, zip_upload
from diagnosis.intake.batches import upload as batches_upload
from diagnosis.intake.batches.filing import Sender
from diagnosis.intake.batches.upload import Announced
from diagnosis.models import Batch, Film, ModelVersion, Patient, Prediction
from diagnosis.registry import versions
from ml.data.dicom_writer import write_film
from ml.images.reader import read_radiograph
from pneumoweb.accounts.models import Clinic
from pneumoweb.server import supervisor
from pneumoweb.server.broker import embedded
from tests.support.factories import PatientFactory
from tests.support.pictures import encoded, png
from tests.support.processes import Broker, Child, descendants, wait_for
from tests.support.samples import sample_films

Row = dict[str, Any]
FULL_SIZE = (2000, 1660)
REPEATS = 7
FILMS = 12
WAITING = 96


def rows() -> list[Row]:
    broker = Broker(embedded(settings.BROKER_DIR))
    broker.start()
    try:
        return [*intake_rows(), *batch_rows(), *worker_rows(), *fresh_worker_rows()]
    finally:
        broker.stop()


def full_size(kind: str, number: int) -> list[bytes]:
    """Return files as large as a clinic's, no two alike."""
    files = []
    for data in sample_films(number):
        buffer = BytesIO()
        picture = Image.open(BytesIO(data)).resize(FULL_SIZE, Image.Resampling.BICUBIC)
        picture.save(buffer, kind, **({"quality": 92} if kind == "JPEG" else {}))
        files.append(buffer.getvalue())
    return files


def intake_rows() -> list[Row]:
    """Films a second that one thread takes in: check, decode, store, rows, wake."""
    patient = PatientFactory()
    found = []
    decoder_pool.decode(png())
    for kind, files in (
        ("synthetic PNG as shipped", sample_films(FILMS)),
        ("PNG of 2,000 pixels", full_size("PNG", FILMS)),
        ("JPEG of 2,000 pixels", full_size("JPEG", FILMS)),
        ("DICOM of 2,000 pixels, 12 bits", full_size_dicom(FILMS)),
    ):
        spent = [seconds(partial(take_in, patient, data)) for data in files]
        rate = 1 / statistics.median(spent)
        found.append({"what": f"intake: {kind}", "figure": round(rate, 2), "unit": "films/s"})
    Prediction.objects.all().delete()
    return [*found, *memory_rows()]


def full_size_dicom(number: int) -> list[bytes]:
    """Return the same films as DX, uncompressed, as most detectors send them."""
    grey = [np.asarray(Image.open(BytesIO(data)).convert("L")) for data in full_size("PNG", number)]
    return [
        write_film(pixels.astype(np.uint16) << 4, bits=12, seed=f"bench {n}") for n, pixels in enumerate(grey)
    ]


def memory_rows() -> list[Row]:
    """Most memory that a process of the site, and its decoder, took for one film of 49 megapixels."""
    noise = np.random.default_rng(0).integers(0, 255, (7000, 7000), dtype=np.uint8)
    picture = Image.fromarray(noise).resize((7000, 7000), Image.Resampling.BOX, box=(0, 0, 700, 700))
    coloured = Image.merge("RGBA", [picture] * 3 + [picture.point(lambda alpha: alpha | 128)])
    found: list[Row] = []
    for what, content in (
        ("grey JPEG", encoded(picture, "JPEG")),
        ("RGBA PNG", encoded(coloured)),
        ("DICOM of 16 bits", write_film(np.asarray(picture).astype(np.uint16) * 257, bits=16)),
    ):
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            command = [sys.executable, "-c", PEAKS, file.name]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        for who, most in zip(("the process that asks", "its decoder"), done.stdout.split(), strict=True):
            figure = {"what": f"memory of {who}: {what} of 49 megapixels", "figure": int(most), "unit": "MB"}
            found.append(figure)
    return found


# VmHWM, as ru_maxrss would begin with the most that the parent took before it started this process.
PEAKS = """
import re, resource, sys, django
django.setup()
from diagnosis import decoding
decoding.decode(open(sys.argv[1], "rb").read())
decoding.stop()
print(int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) // 1024)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
"""


def batch_rows() -> list[Row]:
    """Films a second through a batch, after decoders and caches are warm: sent one by one, and out of a zip."""
    found = []
    for kind, files in (
        ("synthetic PNG as shipped", sample_films(FILMS)),
        ("JPEG of 2,000 pixels", full_size("JPEG", FILMS)),
    ):
        for way, take in (("one by one", one_by_one), ("out of a zip", out_of_a_zip)):
            spent = []
            for _ in range(3):
                patient = PatientFactory()
                batch = Batch.objects.create(
                    clinic=patient.clinic,
                    by=patient.created_by,
                    name="Bench",
                    patient=patient,
                    taken_on=date(2026, 11, 1),
                )
                spent.append(seconds(partial(take, batch, files)))
                if patient.films.count() != len(files):
                    raise AssertionError("not every film of the batch was taken in")
            rate = len(files) / statistics.median(spent)
            found.append({"what": f"batch, {way}: {kind}", "figure": round(rate, 2), "unit": "films/s"})
    Prediction.objects.all().delete()
    return found


def one_by_one(batch: Batch, files: Sequence[bytes]) -> None:
    listed = [Announced(f"{n}.png", len(data), "") for n, data in enumerate(files)]
    for row, data in zip(batches_upload.announce(batch, listed), files, strict=True):
        batches_upload.receive(batch.arrivals.get(key=row["key"]), ContentFile(data), Sender(batch.by))


def out_of_a_zip(batch: Batch, files: Sequence[bytes]) -> None:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for n, data in enumerate(files):
            file.writestr(f"{n}.png", data)
    zip_upload.begin(batch, "bench.zip", packed.tell(), "")
    zip_upload.add_part(batch, 0, ContentFile(packed.getvalue(), name="part"))
    unpack.work(seconds=600)


def take_in(patient: Patient, data: bytes) -> None:
    upload = ContentFile(data, name="film")
    received = intake_films.receive(
        patient.created_by,
        patient,
        upload,
        taken_on=date(2026, 11, 1),
        upload_key=uuid.uuid4(),
        answered=True,
    )
    if not received.created:
        raise AssertionError("the films of a benchmark must differ")


def worker_rows() -> list[Row]:
    """The worker's whole way (claim, decode, model, heatmap, store) against decode and model alone."""
    found = []
    for size, files in (
        ("synthetic films as shipped", sample_films(WAITING)),
        ("films of 2,000 pixels", full_size("PNG", 2 * settings.INFERENCE_BATCH)),
    ):
        films = [stored(data) for data in files]
        version = versions.production()
        if version is None:
            raise AssertionError("no model is in production")
        inference_worker.warm_up()
        loops, queued = [], []
        # In turns: what else the machine does then slows both.
        for _ in requeued(films, version, REPEATS):
            loops.append(seconds(partial(bare_loop, films, version)))
            queued.append(seconds(lambda: inference_worker.work(seconds=600)))
        bare, whole = (len(films) / statistics.median(spent) for spent in (loops, queued))
        found += [
            {"what": f"decode and model in a bare loop: {size}", "figure": round(bare, 1), "unit": "films/s"},
            {
                "what": f"claim, decode, model, store by the worker: {size}",
                "figure": round(whole, 1),
                "unit": "films/s",
                "ratio": round(whole / bare, 2),
            },
        ]
    return found


def fresh_worker_rows() -> list[Row]:
    """A worker as `serve` starts it, while a film waits: from the start of its first process until the film has its
    answer, and what all its processes, decoder and all, take together by then."""
    version = versions.production()
    if version is None:
        raise AssertionError("no model is in production")
    film = stored(sample_films(1)[0])
    site = supervisor.Site(base=settings.BASE_DIR, data=settings.DATA_DIR, workers=settings.WORKERS)
    spent, memory, largest = [], [], []
    for number, _ in enumerate(requeued([film], version, REPEATS)):
        queue.notify_worker()
        begun = time.perf_counter()
        worker = Child(
            site.programs()["worker"],
            {**os.environ, **supervisor.CHECKED},
            settings.DATA_DIR / f"worker-{number}.log",
        )
        try:
            wait_for(Prediction.objects.answered().exists, every=0.02)
            spent.append(time.perf_counter() - begun)
            each = [proportional(pid) for pid in (worker.process.pid, *descendants(worker.process.pid))]
            memory.append(sum(each))
            largest.append(max(each))
        finally:
            worker.end()
    return [
        {"what": "a fresh worker: has answered a film", "figure": statistics.median(spent), "unit": "s"},
        {"what": "a fresh worker: all its processes", "figure": statistics.median(memory), "unit": "MB"},
        {"what": "a fresh worker: the largest of them", "figure": statistics.median(largest), "unit": "MB"},
    ]


def proportional(pid: int) -> float:
    """Megabytes of a process; of pages that several share, each has its part (PSS)."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(rollup.split("Pss:")[1].split()[0]) / 1024


def stored(data: bytes, clinic: Clinic | None = None) -> Film:
    patient = PatientFactory(clinic=clinic) if clinic else PatientFactory()
    take_in(patient, data)
    return patient.films.get()


def bare_loop(films: Sequence[Film], version: ModelVersion) -> None:
    predictor = inference_worker.predictor_for(version)
    for start in range(0, len(films), settings.INFERENCE_BATCH):
        batch = films[start : start + settings.INFERENCE_BATCH]
        predictor.predict([read_radiograph(film.file.open("rb").read()) for film in batch])


def requeued(films: Sequence[Film], version: ModelVersion, times: int) -> Any:
    """Yield `times` times, each time with a new prediction of each film in the queue."""
    for _ in range(times):
        Prediction.objects.all().delete()
        Prediction.objects.bulk_create(Prediction(film=film, model_version=version) for film in films)
        yield
        if Prediction.objects.answered().count() != len(films):
            raise AssertionError("not every film was answered")


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
