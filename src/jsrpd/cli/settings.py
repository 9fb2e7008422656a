"""How this session of ``jsrp`` behaves: what ``set cli`` sets and ``show cli`` shows. A one-shot command has the defaults."""

from dataclasses import dataclass


@dataclass(slots=True)
class Settings:
    """``None``: as the terminal has it."""

    screen_length: int | None = None
    """Lines after which a long answer stops; 0: never."""
    screen_width: int | None = None
    complete_on_space: bool = True
    timestamp: bool = False
    idle_timeout_min: int = 0
    """0: never."""
    prompt: str = ""
    """Empty: ``user@host>``."""


SETTINGS = Settings()
"""Of this process."""
