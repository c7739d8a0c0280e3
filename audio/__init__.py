"""Voice, from the microphone to the speaker.

The thinking half (``pcm level gate delay jitter stretch mixer ring``) is pure:
numpy, no clock, no codec, no devices. The device half touches the world. The
way of a voice is written out once, in ``audio.chain``. Nothing here imports a
device library or PyAV before one is needed.
"""
