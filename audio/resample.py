"""Any rate to any other, chunk by chunk (soxr), each chunk as it comes."""

from __future__ import annotations

import numpy as np

from audio.pcm import Samples, silence, stereo_silence

# Implementation
LIVE = "LQ"
"""Half a millisecond of delay from 44.1 kHz; better ones hold back 10 to 37 ms."""
FILE = "HQ"


class Resampler:
    """One stream of samples from ``rate_in`` to ``rate_out``, in hertz."""

    def __init__(self, rate_in: int, rate_out: int, quality: str = LIVE, channels: int = 1) -> None:
        self._stream = None
        self._nothing = silence(0) if channels == 1 else stereo_silence(0)
        if rate_in != rate_out:
            import soxr

            self._stream = soxr.ResampleStream(
                rate_in, rate_out, channels, dtype="float32", quality=quality
            )

    def push(self, samples: Samples, *, last: bool = False) -> Samples:
        """What ``samples`` become; with ``last`` also all that was held back."""
        if self._stream is None:
            return samples
        out: Samples = self._stream.resample_chunk(
            np.ascontiguousarray(samples, np.float32), last=last
        )
        return out

    def flush(self) -> Samples:
        """What was held back."""
        return self.push(self._nothing, last=True)
