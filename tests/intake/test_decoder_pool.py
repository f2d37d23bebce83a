"""Films are decoded in children that may die, that know no secret, and that end with their parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from diagnosis.intake import decoder_pool
from ml.decoder import decode as decode_here
from ml.images.decoded import Decoded
from ml.images.errors import ImageError
from tests.support.dicoms import dx
from tests.support.pictures import encoded, jpeg, png
from tests.support.processes import ROOT, wait_for


@pytest.fixture(autouse=True)
def _fresh_decoders() -> Iterator[None]:
    decoder_pool.stop()
    yield
    decoder_pool.stop()


def idle() -> list[int]:
    return [child.process.pid for child in decoder_pool._pool.idle]


@pytest.mark.parametrize("content", [png(), jpeg(), dx()], ids=["png", "jpeg", "dicom"])
def test_a_child_gives_what_decoding_here_gives(content: bytes) -> None:
    assert decoder_pool.decode(content) == decode_here(content)


def test_the_same_child_reads_the_next_film() -> None:
    decoder_pool.decode(png(1))
    first = idle()
    decoder_pool.decode(dx())
    assert idle() == first
    assert len(first) == 1


def test_a_refusal_comes_back_with_its_code() -> None:
    with pytest.raises(ImageError) as caught:
        decoder_pool.decode(dx(ViewPosition="LL"))
    assert caught.value.code == "other-view"
    assert idle()


def test_a_film_that_needs_too_much_memory_is_refused_and_the_next_one_is_read(settings: Any) -> None:
    settings.DECODER_MEMORY_MB = 120
    with pytest.raises(ImageError) as caught:
        decoder_pool.decode(encoded(Image.new("RGBA", (4000, 4000), (9, 9, 9, 9))))
    assert caught.value.code == "too-large"
    assert "more memory" in str(caught.value)
    assert decoder_pool.decode(png()).width == 256


def test_a_child_that_dies_over_a_film_costs_that_film_only() -> None:
    decoder_pool.warm_up()
    (pid,) = idle()
    os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor() as pool:
        film = pool.submit(decoder_pool.decode, png())
        wait_for(lambda: not idle())
        time.sleep(0.2)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(decoder_pool.DecoderDied, match="broke off"):
            film.result()
    assert decoder_pool.decode(png()).width == 256


def test_a_child_that_takes_too_long_is_ended(settings: Any) -> None:
    settings.DECODER_SECONDS = 0
    decoder_pool.warm_up()
    os.kill(idle()[0], signal.SIGSTOP)
    with pytest.raises(decoder_pool.DecoderDied):
        decoder_pool.decode(png())


def test_a_child_that_died_while_it_waited_costs_nothing() -> None:
    decoder_pool.decode(png())
    child = decoder_pool._pool.idle[0]
    child.process.kill()
    child.process.wait()
    assert decoder_pool.decode(png()).width == 256


def test_never_more_than_two_children() -> None:
    with ThreadPoolExecutor(8) as pool:
        films: list[Decoded] = list(pool.map(decoder_pool.decode, [png(n, 96) for n in range(16)]))
    assert [film.picture for film in films] == [decode_here(png(n, 96)).picture for n in range(16)]
    assert len(idle()) <= 2


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_child_knows_no_secret_and_leaves_no_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "telltale")
    decoder_pool.decode(png())
    process = Path(f"/proc/{idle()[0]}")
    assert b"telltale" not in (process / "environ").read_bytes()
    limits = {
        line[:26].strip(): line[26:47].strip() for line in (process / "limits").read_text().splitlines()
    }
    assert limits["Max core file size"] == limits["Max file size"] == "0"
    assert int(limits["Max data size"]) < 2**31


def test_a_child_ends_with_its_input() -> None:
    command = [sys.executable, "-m", "ml.decoder"]
    child = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.communicate(timeout=20)
    assert child.returncode == 0


def test_a_forked_process_does_not_talk_to_its_parents_children() -> None:
    decoder_pool.decode(png())
    pid = os.fork()
    if pid == 0:
        os._exit(len(decoder_pool._pool.idle))
    assert os.waitpid(pid, 0)[1] == 0
    assert len(idle()) == 1
