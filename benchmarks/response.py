"""One HTTP answer as it arrives, compared with what the upstream sent, byte by byte."""

import re

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_DECIDED = re.compile(rb"\r\nx-router-classifier: *([a-z]+)", re.IGNORECASE)


class Response:
    """Fed with bytes until `is_done`; then `is_whole` says whether it was the expected answer."""

    def __init__(self, expected: bytes) -> None:
        self.is_done = False
        self.classifier = ""
        self._expected = expected
        self._position = 0
        self._is_right = True
        self._pending = b""
        self._has_head = False
        self._is_chunked = False
        self._is_last = False
        self._left = 0  # of the body, or of the current piece of a chunked one

    @property
    def is_whole(self) -> bool:
        return self.is_done and self._is_right and self._position == len(self._expected)

    def feed(self, data: bytes) -> bytes:
        """Take what arrived; return what of it belongs to the body."""
        if not self._has_head:
            self._pending += data
            head, found, data = self._pending.partition(b"\r\n\r\n")
            if not found:
                return b""
            self._read_head(head + b"\r\n")
        body = self._unchunk(data) if self._is_chunked else self._take(data)
        self._compare(body)
        return body

    def _compare(self, body: bytes) -> None:
        end = self._position + len(body)
        self._is_right = self._is_right and self._expected[self._position : end] == body
        self._position = end

    def _read_head(self, head: bytes) -> None:
        self._has_head, self._pending = True, b""
        self._is_right = head.startswith(b"HTTP/1.1 200 ")
        self._is_chunked = _CHUNKED.search(head) is not None
        length = _LENGTH.search(head)
        self._left = int(length[1]) if length else 0
        self.is_done = not self._is_chunked and not self._left
        if decided := _DECIDED.search(head):
            self.classifier = decided[1].decode()

    def _take(self, data: bytes) -> bytes:
        self._left -= len(data)
        self.is_done = self._left <= 0
        return data

    def _unchunk(self, data: bytes) -> bytes:
        """Return the payload. `_left` counts down over a piece and the line break behind it."""
        body = b""
        data = self._pending + data
        self._pending = b""
        while data:
            if self._left > 2:
                piece = data[: self._left - 2]
                body += piece
                self._left -= len(piece)
                data = data[len(piece) :]
            elif self._left:
                taken = min(self._left, len(data))
                self._left -= taken
                data = data[taken:]
                self.is_done = self._is_last and not self._left
            else:
                size, found, rest = data.partition(b"\r\n")
                if not found:
                    self._pending = data
                    break
                data, length = rest, int(size, 16)
                self._left = length + 2
                self._is_last = length == 0
        return body
