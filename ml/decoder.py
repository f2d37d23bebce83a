"""A process that decodes films of untrusted origin and may die without harm: `python -m ml.decoder`.

It reads one film after the other from standard input and answers on standard output, each time with one message of
JSON and the pictures that it counts. Before the first film it gives up what a film could misuse: memory and time
beyond the limits, writing files, core dumps. It ends when its input ends, and so with its parent.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml.images.decoded import Decoded
from ml.images.decoder_protocol import pack, read_message, write_message
from ml.images.errors import ImageError
from ml.images.radiograph import Radiograph, png_of, thumbnail, to_png
from ml.images.reader import read_radiograph, recognise

FILMS = 200
"""After so many films the process is replaced: what a film may have left in it does not stay for ever."""
GROWN_MB = 400
"""So is one that holds on to so much memory."""


def decode(content: bytes) -> Decoded:
    """Decode one PNG, JPEG or DICOM file, here and now. Raises a subclass of `ImageError`."""
    if recognise(content) != "DICOM":
        return _decoded(read_radiograph(content))
    # pydicom takes half a second to import; where no DICOM comes, nobody waits for it.
    from ml.images.dicom import read_dicom

    film = read_dicom(content)
    values = None if film.values is None else png_of(film.values)
    return _decoded(film.radiograph, values=values, facts=film.facts, offered=film.offered)


def _decoded(film: Radiograph, **more: Any) -> Decoded:
    return Decoded(
        **{"values": None, **more},
        picture=to_png(film),
        preview=thumbnail(film),
        width=film.width,
        height=film.height,
        bits=film.bits,
        colourfulness=film.colourfulness,
        notes=film.notes,
        source_format=film.source_format,
    )


def answer(content: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """The answer to one file: `film`, or `error` and its `code`, or `crash`; and the pictures."""
    try:
        film, pictures = pack(decode(content))
    except ImageError as error:
        return {"error": str(error), "code": error.code}, []
    except MemoryError:
        return {"error": TOO_LARGE, "code": "too-large"}, []
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent logs it and the next film gets its turn
        # Not the exception's own text: it may quote the file, and with it the patient.
        lines = "".join(traceback.format_tb(error.__traceback__))
        return {"crash": f"{type(error).__name__}\n{lines}"}, []
    return {"film": film}, pictures


TOO_LARGE = (
    "The film needs more memory to be decoded than it may take. Nothing was kept; export it at a lower resolution, "
    "or as 8-bit PNG or JPEG, and upload that."
)


def _give_up(memory_mb: int) -> None:
    """Limit what this process may take. On Linux the kernel, too short of memory, ends it before any other."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (memory_mb * 1024**2,) * 2)
        Path("/proc/self/oom_score_adj").write_text("800")
    # The parent's Ctrl-C is not meant for this process: it ends with its input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _allow(seconds: int) -> None:
    """Let the next film take so much time, by the clock and of the processor; then the kernel ends this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    signal.alarm(seconds + 1)


def _resident_mb() -> float:
    if sys.platform != "linux":
        return 0.0
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024**2


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where the input ended or the process has had its share of films."""
    parser = argparse.ArgumentParser(prog="python -m ml.decoder", description=__doc__)
    parser.add_argument("--memory-mb", type=int, default=1536, metavar="N", help="most memory for data")
    parser.add_argument("--seconds", type=int, default=60, metavar="N", help="longest time for one film")
    options = parser.parse_args(arguments)
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    # Whatever a library prints must not get between the answers.
    sys.stdout = sys.stderr
    _give_up(options.memory_mb)
    for number in range(1, FILMS + 1):
        content = read_message(requests)
        if content is None:
            return 0
        _allow(options.seconds)
        head, pictures = answer(content)
        del content
        signal.alarm(0)
        last = number == FILMS or _resident_mb() > GROWN_MB or head.get("code") == "too-large"
        head |= {"pictures": len(pictures), "last": last}
        for body in (json.dumps(head).encode(), *pictures):
            write_message(answers, body)
        answers.flush()
        if last:
            break
    return 0


if __name__ == "__main__":
    sys.exit(main())
