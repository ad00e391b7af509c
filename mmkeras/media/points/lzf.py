"""LZF, the byte compression inside PCD files (format of LibLZF by Marc Lehmann). Decompression only."""

from __future__ import annotations

from mmkeras.core.errors import DataError

__all__ = ["decompress"]


def decompress(data: bytes, size: int) -> bytes:
    """Return the bytes that LZF packed into ``data``.

    A control byte below 32 is followed by that many bytes plus one as they are. Any other one repeats earlier output:
    its upper three bits are the length less 2 (7: the next byte is added), its lower five and the next byte the
    distance less 1.

    Args:
        data: the packed bytes, all of them.
        size: how many bytes come out.

    Raises:
        DataError: the bytes end early, point before the beginning, or unpack to another size.
    """
    out = bytearray()
    position, end = 0, len(data)
    try:
        while position < end:
            control = data[position]
            position += 1
            if control < 32:
                run = data[position : position + control + 1]
                if len(run) <= control:
                    raise IndexError
                out += run
                position += control + 1
            else:
                length = control >> 5
                if length == 7:
                    length += data[position]
                    position += 1
                distance = ((control & 31) << 8) + data[position] + 1
                position += 1
                length += 2
                start = len(out) - distance
                if start < 0:
                    raise DataError(f"LZF: byte {position} repeats output {-start} bytes before the beginning")
                # What is repeated may overlap what is written: a run of one byte has distance 1.
                chunk = bytes(out[start : start + length])
                out += (chunk * (length // len(chunk) + 1))[:length]
            if len(out) > size:
                raise DataError(f"LZF: expected {size} bytes, got more")
    except IndexError:
        raise DataError(f"LZF: the data end within an instruction, after {end} bytes") from None
    if len(out) != size:
        raise DataError(f"LZF: expected {size} bytes, got {len(out)}")
    return bytes(out)
