"""Pictures for the tests of `ml`: drawn here, so that no test needs a patient's film."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.images.radiograph import Radiograph

SAMPLES = Path(__file__).resolve().parents[2] / "ml" / "samples"
FILES = ("model.keras", "model.tflite", "gate.npz", "card.json", "MODEL_CARD.md")
CELL = 6.0
"""Millimetres of a cell of `phantom`."""
PICTURES = {"curves.png", "failures.jpg"}
"""What an artifact may hold beside them: versions of earlier releases, and models without known failures, do not."""


def grey(height: int = 240, width: int = 200, seed: int = 1) -> NDArray[np.uint8]:
    """A smooth grey picture that uses the whole range, with something in every corner."""
    y, x = np.mgrid[0:height, 0:width]
    waves = np.sin(x / 17 + seed) + np.cos(y / 23) + (x + 2 * y) / (width + 2 * height)
    return ((waves - waves.min()) / max(float(np.ptp(waves)), 1.0) * 255).astype(np.uint8)


def chest(seed: int, ill: bool, side: int = 128) -> NDArray[np.uint8]:
    """A drawing with two dark lungs, a bright middle, and in an ill one a bright patch in a lung."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side] / (side - 1)
    picture = 0.75 - 0.1 * y + 0.12 * np.cos(40 * y)
    for centre in (0.3, 0.7):
        cx, cy = centre + generator.normal(0, 0.015), 0.45 + generator.normal(0, 0.02)
        picture -= 0.5 * (((x - cx) / 0.15) ** 2 + ((y - cy) / 0.3) ** 2 < 1)
    if ill:
        cx, cy = generator.choice([0.3, 0.7]), generator.uniform(0.3, 0.6)
        picture += 0.45 * np.exp(-(((x - cx) / 0.1) ** 2 + ((y - cy) / 0.1) ** 2))
    picture += generator.normal(0, 0.02, picture.shape)
    return (np.clip(picture, 0, 1) * 255).astype(np.uint8)


def phantom(seed: int = 0, table: bool = False) -> NDArray[np.int16]:
    """A trunk of water, twice as wide as deep, with two lungs, a spine and a heart; cells of 6 mm, in air."""
    generator = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*(np.arange(n) * CELL for n in (70, 50, 60)), indexing="ij")
    middle, front = 210.0, 150.0
    ct = np.full(x.shape, -1000, dtype=np.int16)
    ct[((x - middle) / 160) ** 2 + ((y - front) / 90) ** 2 < 1] = 0
    for side in (-1, 1):
        centre = middle + side * generator.uniform(75, 85)
        high = generator.uniform(190, 215)
        lung = ((x - centre) / 62) ** 2 + ((y - front) / 72) ** 2 + ((z - high) / 130) ** 2 < 1
        ct[lung & (z > high - 90)] = -850
    heart = ((x - middle - 25) / 60) ** 2 + ((y - front - 30) / 45) ** 2 + ((z - 150) / 60) ** 2 < 1
    ct[heart] = 40
    ct[(x - middle) ** 2 + (y - front + 62) ** 2 < 24**2] = 700
    if table:
        ct[:, 2:5, :] = 200
    return ct


def unit(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Grey values as 0..1."""
    return pixels.astype(np.float32) / np.float32(255)


def png(pixels: NDArray[np.uint8] | NDArray[np.uint16] | Image.Image, **options: object) -> bytes:
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", **options)
    return buffer.getvalue()


def jpeg(picture: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=95, **options)
    return buffer.getvalue()


def film(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> Radiograph:
    return Radiograph(pixels, 8 if pixels.dtype == np.uint8 else 16, "PNG")


def data_set(folder: Path, patients: int = 10) -> Path:
    """NORMAL and PNEUMONIA drawings: `patients` of each class, every third with two films."""
    for label, ill in (("NORMAL", False), ("PNEUMONIA", True)):
        (folder / label).mkdir(parents=True)
        for patient in range(patients):
            for number in range(2 if patient % 3 == 0 else 1):
                name = f"person{patient + 100}_virus_{number}" if ill else f"IM-{patient:04d}-{number:04d}"
                pixels = chest(1000 * ill + 10 * patient + number, ill)
                (folder / label / f"{name}.png").write_bytes(png(pixels))
    return folder
