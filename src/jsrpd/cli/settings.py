"""How this session of ``jsrp`` behaves: what ``set cli`` sets and ``show cli`` shows. A one-shot command has the defaults."""


class Settings:
    """``None``: as the terminal has it. ``screen_length``: lines after which a long answer stops, 0: never;
    ``idle_timeout_min``: 0: never; ``prompt``: empty: ``user@host>``."""

    def __init__(self) -> None:
        self.screen_length: int | None = None
        self.screen_width: int | None = None
        self.complete_on_space = True
        self.timestamp = False
        self.idle_timeout_min = 0
        self.prompt = ""


SETTINGS = Settings()
"""Of this process."""
