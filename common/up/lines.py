"""What a child writes, cut into lines however it arrives."""

MAX_LINE_BYTES = 16_384


class Lines:
    """Feed it bytes, take whole lines; a line beyond MAX_LINE_BYTES comes in several."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes."""
        *whole, self._pending = (self._pending + data).split(b"\n")
        lines = [line for text in whole for line in _pieces(text)]
        while len(self._pending) > MAX_LINE_BYTES:
            lines.append(_decode(self._pending[:MAX_LINE_BYTES]))
            self._pending = self._pending[MAX_LINE_BYTES:]
        return lines

    def rest(self) -> list[str]:
        """What stands after the last newline, once nothing more comes."""
        pending, self._pending = self._pending, b""
        return [_decode(pending)] if pending else []


def _pieces(text: bytes) -> list[str]:
    ends = range(0, max(len(text), 1), MAX_LINE_BYTES)
    return [_decode(text[start : start + MAX_LINE_BYTES]) for start in ends]


def _decode(text: bytes) -> str:
    return text.decode(errors="replace").rstrip("\r")
