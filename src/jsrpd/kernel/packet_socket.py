"""A raw socket that sends frames by one interface. On a reth its frames pass the gate like all others."""

import socket


class FrameSocket:
    """Sends only (protocol 0). OSError when the interface does not exist."""

    def __init__(self, interface: str) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
        try:
            self._socket.bind((interface, 0))
        except OSError:
            self._socket.close()
            raise

    @property
    def mac(self) -> bytes:
        """The interface's own MAC, 6 bytes."""
        address = self._socket.getsockname()[4]
        assert isinstance(address, bytes)
        return address

    def send(self, frames: list[bytes]) -> int:
        """How many the kernel took; stops at the first refusal (queue full, interface down or gone)."""
        for count, frame in enumerate(frames):
            try:
                self._socket.send(frame)
            except OSError:
                return count
        return len(frames)

    def close(self) -> None:
        """Close."""
        self._socket.close()
