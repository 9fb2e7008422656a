"""bpf(2) by ctypes: the dozen commands the gate needs, no library. Needs Linux 6.6 for TCX (kernel facts)."""

import ctypes
import errno
import os
import platform
import struct

SYSCALL = {"x86_64": 321, "aarch64": 280}
MAP_CREATE, MAP_LOOKUP, MAP_UPDATE, MAP_DELETE = 0, 1, 2, 3
PROG_LOAD, OBJ_PIN, OBJ_GET, PROG_ATTACH, PROG_DETACH, PROG_TEST_RUN = 5, 6, 7, 8, 9, 10
PROG_GET_FD_BY_ID, OBJ_GET_INFO, PROG_QUERY = 13, 15, 16
HASH, ARRAY = 1, 2
MMAPABLE = 1 << 10
SCHED_CLS = 3
TCX_INGRESS, TCX_EGRESS = 46, 47
FLAG_BEFORE = 1 << 3
INTERRUPTED_RETRIES = 5
"""The verifier gives up with EAGAIN while a signal is pending."""
NAME_BYTES = 16
LOG_BYTES = 1 << 18
MAX_CHAIN = 64
INFO_BYTES, ID_OFFSET, NAME_OFFSET = 128, 4, 64

_libc = ctypes.CDLL(None, use_errno=True)


def _bpf(command: int, attribute: bytes | ctypes.Array[ctypes.c_char], what: str) -> int:
    number = SYSCALL.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, f"{what}: no bpf(2) for {platform.machine()}")
    buffer = ctypes.create_string_buffer(attribute, len(attribute)) if isinstance(attribute, bytes) else attribute
    for _attempt in range(1 + INTERRUPTED_RETRIES):
        result: int = _libc.syscall(ctypes.c_long(number), command, buffer, len(buffer))
        if result >= 0 or ctypes.get_errno() not in (errno.EAGAIN, errno.EINTR):
            break
    if result < 0:
        failure = ctypes.get_errno()
        raise OSError(failure, f"{what}: {os.strerror(failure)}")
    return result


def _pointer(buffer: ctypes.Array[ctypes.c_char]) -> int:
    return ctypes.addressof(buffer)


def map_create(kind: int, key_bytes: int, value_bytes: int, entries: int, name: str, flags: int = 0) -> int:
    """Descriptor of a new map."""
    head = struct.pack("=IIIIIII", kind, key_bytes, value_bytes, entries, flags, 0, 0)
    return _bpf(MAP_CREATE, head + name.encode()[: NAME_BYTES - 1].ljust(NAME_BYTES, b"\0"), f"map {name}")


def map_update(descriptor: int, key: bytes, value: bytes) -> None:
    """Insert or replace."""
    k, v = ctypes.create_string_buffer(key, len(key)), ctypes.create_string_buffer(value, len(value))
    _bpf(MAP_UPDATE, struct.pack("=IIQQQ", descriptor, 0, _pointer(k), _pointer(v), 0), "map update")


def map_delete(descriptor: int, key: bytes) -> None:
    """Remove; no error when absent."""
    k = ctypes.create_string_buffer(key, len(key))
    try:
        _bpf(MAP_DELETE, struct.pack("=IIQQQ", descriptor, 0, _pointer(k), 0, 0), "map delete")
    except FileNotFoundError:
        return


def prog_load(code: bytes, name: str) -> int:
    """Descriptor of a verified classifier. The error carries the verifier's log."""
    instructions = ctypes.create_string_buffer(code, len(code))
    licence = ctypes.create_string_buffer(b"GPL")
    log = ctypes.create_string_buffer(LOG_BYTES)

    def attribute(log_level: int) -> bytes:
        head = struct.pack("=IIQQ", SCHED_CLS, len(code) // 8, _pointer(instructions), _pointer(licence))
        tail = struct.pack("=IIQII", log_level, LOG_BYTES if log_level else 0, _pointer(log) if log_level else 0, 0, 0)
        return head + tail + name.encode()[: NAME_BYTES - 1].ljust(NAME_BYTES, b"\0") + bytes(8)

    try:
        return _bpf(PROG_LOAD, attribute(0), f"program {name}")
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EACCES):
            raise
        try:
            return _bpf(PROG_LOAD, attribute(1), f"program {name}")
        except OSError as again:
            raise OSError(again.errno, f"{again.strerror}\n{log.value.decode(errors='replace')}") from error


def prog_attach_first(descriptor: int, index: int, hook: int) -> None:
    """Attach in front of everything else on the interface (TCX). FileExistsError: it is on that hook already."""
    try:
        _bpf(PROG_ATTACH, struct.pack("=IIIIIIQ", index, descriptor, hook, FLAG_BEFORE, 0, 0, 0), "attach")
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise OSError(errno.EINVAL, "attach refused: the gate needs Linux 6.6 or newer (TCX)") from error


def prog_detach(descriptor: int, index: int, hook: int) -> None:
    """Detach."""
    _bpf(PROG_DETACH, struct.pack("=IIIIIIQ", index, descriptor, hook, 0, 0, 0, 0), "detach")


def prog_query(index: int, hook: int) -> list[int]:
    """Ids of the programs on a hook, in the order they run."""
    ids = (ctypes.c_uint32 * MAX_CHAIN)()
    packed = struct.pack("=IIIIQIIQQQQ", index, hook, 0, 0, ctypes.addressof(ids), MAX_CHAIN, 0, 0, 0, 0, 0)
    attribute = ctypes.create_string_buffer(packed, len(packed))
    _bpf(PROG_QUERY, attribute, "query")
    (count,) = struct.unpack_from("=I", attribute, 24)
    return list(ids[:count])


def pin(descriptor: int, path: str) -> None:
    """Give a map or program a name in a bpf file system, which keeps it alive. FileExistsError: the name is taken."""
    name = ctypes.create_string_buffer(os.fsencode(path))
    _bpf(OBJ_PIN, struct.pack("=QII", _pointer(name), descriptor, 0), f"pin {path}")


def pinned(path: str) -> int:
    """Descriptor of what is pinned under a name. FileNotFoundError: nothing is."""
    name = ctypes.create_string_buffer(os.fsencode(path))
    return _bpf(OBJ_GET, struct.pack("=QII", _pointer(name), 0, 0), f"open {path}")


def prog_by_id(number: int) -> int:
    """Descriptor of a loaded program."""
    return _bpf(PROG_GET_FD_BY_ID, struct.pack("=III", number, 0, 0), "program by id")


def prog_name(descriptor: int) -> str:
    """Name it was loaded with."""
    return _info(descriptor)[NAME_OFFSET : NAME_OFFSET + NAME_BYTES].split(b"\0")[0].decode(errors="replace")


def prog_id(descriptor: int) -> int:
    """Id of a loaded program."""
    return int.from_bytes(_info(descriptor)[ID_OFFSET : ID_OFFSET + 4], "little")


def _info(descriptor: int) -> bytes:
    info = ctypes.create_string_buffer(INFO_BYTES)
    _bpf(OBJ_GET_INFO, struct.pack("=IIQ", descriptor, INFO_BYTES, _pointer(info)), "program info")
    return info.raw


def prog_test_run(descriptor: int, frame: bytes, repeat: int = 1) -> tuple[int, int]:
    """Verdict (signed) and ns per run for a frame."""
    data = ctypes.create_string_buffer(frame, len(frame))
    packed = struct.pack("=IIIIQQII", descriptor, 0, len(frame), 0, _pointer(data), 0, repeat, 0) + bytes(40)
    attribute = ctypes.create_string_buffer(packed, len(packed))
    _bpf(PROG_TEST_RUN, attribute, "test run")
    verdict, duration = struct.unpack_from("=i", attribute, 4)[0], struct.unpack_from("=I", attribute, 36)[0]
    return verdict, duration
