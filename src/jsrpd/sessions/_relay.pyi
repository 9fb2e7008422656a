from collections.abc import Callable, Sequence

def told(
    events: Sequence[bytes],
    groups: dict[bytes, int],
    owned: frozenset[int],
    look_up: Callable[[bytes], int | None],
    plain: Callable[[bytes, bool], bytes],
    always_whole: bool = False,
    /,
) -> tuple[list[bytes], list[int]]: ...
def counted(content: bytes) -> list[int]: ...
