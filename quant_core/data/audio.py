"""A folder or a zip archive of WAV files as a data set: mono, resampled, of one length."""

from __future__ import annotations

import io
import math

import numpy as np
from numpy.typing import NDArray

from quant_core.data.dataset import Batch, Indices, Labels
from quant_core.data.decoded import DecodedDataset
from quant_core.data.files import Files
from quant_core.data.labels import labelled_files
from quant_core.errors import DataError
from quant_core.graph import Port

SUFFIXES = {".wav"}
RATES = (1_000, 768_000)  # Hz; outside of these a header lies
CHANNELS = 32
SECONDS = 30  # of a clip at most, where the model takes any length


class AudioDataset(DecodedDataset):
    """Clips of `length` samples at `rate` Hz."""

    def __init__(
        self, files: Files, names: list[str], labels: Labels | None, port: Port, rate: int, length: int
    ) -> None:
        super().__init__(files, names, labels, f"wav {port} {rate} {length}")
        self.port, self.rate, self.length = port, rate, length

    def take(self, indices: Indices) -> Batch:
        clips = np.stack([self.sample(int(i)) for i in indices])
        return {self.port.name: clips[:, None] if len(self.port.shape) == 3 else clips}

    def decode(self, name: str, content: bytes) -> NDArray[np.float32]:
        """The clip that a WAV file holds, `[length]`."""
        return read_clip(name, content, self.rate, self.length)


def open_audio(files: Files, inputs: tuple[Port, ...], rate: int | None = None) -> AudioDataset:
    """The clips of `files`, labelled as images are, for an input `[N, samples]` or `[N, 1, samples]`.

    `rate` (Hz) is what the model was trained on; without it that of the first clip. DataError where the model
    takes no sound or a file cannot be read."""
    port = inputs[0] if len(inputs) == 1 else None
    if port is None or not (len(port.shape) == 2 or (len(port.shape) == 3 and port.shape[1] == 1)):
        raise DataError("the model has no single input of sound", "give the data as .npz")
    if rate is not None and not RATES[0] <= rate <= RATES[1]:
        raise DataError(f"the rate is {rate} Hz", f"give {RATES[0]} to {RATES[1]}")
    names, labels = labelled_files(files, SUFFIXES, "WAV files")
    notes: tuple[str, ...] = ()
    if rate is None:
        rate = _described(names[0], files.read(names[0]))[0]
        notes = (f"The clips are read at {rate} Hz, the rate of the first one.",)
    length = port.shape[-1]
    if not isinstance(length, int):
        longest = max(n / r for r, n in (_described(name, files.read(name)) for name in names))
        length = max(1, math.ceil(min(longest, SECONDS) * rate))
    data = AudioDataset(files, names, labels, port, rate, length)
    data.notes = notes
    return data


def read_clip(name: str, content: bytes, rate: int, length: int) -> NDArray[np.float32]:
    """`[length]` samples at `rate` Hz, the mean of all channels in -1..1, cut or filled up with silence."""
    import soundfile
    from scipy.signal import resample_poly

    own, _ = _described(name, content)
    wanted = math.ceil(length * own / rate) + 1
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as sound:
            frames = sound.read(min(wanted, sound.frames), dtype="float32", always_2d=True)
    except (RuntimeError, OSError, ValueError, MemoryError) as error:
        raise _not_readable(name) from error
    mono = np.nan_to_num(frames.mean(axis=1))
    if own != rate and len(mono):
        common = math.gcd(own, rate)
        mono = resample_poly(mono, rate // common, own // common).astype(np.float32)
    clip = np.zeros(length, np.float32)
    clip[: min(length, len(mono))] = mono[:length]
    return clip


def _described(name: str, content: bytes) -> tuple[int, int]:
    """Rate (Hz) and number of frames that a file says it has."""
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(content)) as sound:
            rate, channels, frames = int(sound.samplerate), int(sound.channels), int(sound.frames)
            kind = str(sound.format)
    except (RuntimeError, OSError, ValueError) as error:
        raise _not_readable(name) from error
    wav = kind in ("WAV", "WAVEX", "RF64")
    if not wav or not RATES[0] <= rate <= RATES[1] or not 1 <= channels <= CHANNELS or frames < 0:
        raise _not_readable(name)
    return rate, frames


def _not_readable(name: str) -> DataError:
    return DataError(f"'{name}' is not a readable WAV file", "remove it from the folder")
