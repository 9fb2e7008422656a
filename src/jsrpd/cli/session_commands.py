"""Commands about the session itself: ``set cli``, ``show cli``, ``show version``, leaving. Replies as automation expects them."""

from jsrpd.cli.commands import Call, CommandFailed
from jsrpd.cli.modes import Leave
from jsrpd.cli.settings import SETTINGS


def set_screen_length(call: Call) -> str:
    """``set cli screen-length LINES``."""
    SETTINGS.screen_length = call.number("lines")
    return f"Screen length set to {SETTINGS.screen_length}\n"


def set_screen_width(call: Call) -> str:
    """``set cli screen-width COLUMNS``."""
    columns = call.number("columns")
    if 0 < columns < 40:
        raise CommandFailed("error: a screen has 40 columns at least; 0: never wrap")
    SETTINGS.screen_width = columns
    return f"Screen width set to {columns}\n"


def complete_on_space(_call: Call) -> str:
    """``set cli complete-on-space on``."""
    SETTINGS.complete_on_space = True
    return "Enabling complete-on-space\n"


def no_complete_on_space(_call: Call) -> str:
    """``set cli complete-on-space off``."""
    SETTINGS.complete_on_space = False
    return "Disabling complete-on-space\n"


def timestamp(_call: Call) -> str:
    """``set cli timestamp``."""
    SETTINGS.timestamp = True
    return "CLI timestamp set to: %b %d %T\n"


def no_timestamp(_call: Call) -> str:
    """``set cli timestamp disable``."""
    SETTINGS.timestamp = False
    return "CLI timestamp disabled\n"


def idle_timeout(call: Call) -> str:
    """``set cli idle-timeout MINUTES``."""
    SETTINGS.idle_timeout_min = call.number("minutes")
    return f"Idle timeout set to {SETTINGS.idle_timeout_min} minutes\n" if SETTINGS.idle_timeout_min else "Idle timeout disabled\n"


def prompt(call: Call) -> str:
    """``set cli prompt TEXT``."""
    text = call.values["text"]
    if not text.isprintable():
        raise CommandFailed("error: a prompt has printable characters only")
    SETTINGS.prompt = f"{text.rstrip()} "
    return f"CLI prompt set to {text}\n"


def show_cli(call: Call) -> str:
    """``show cli``; in the other formats nothing, where the terminal decides."""
    if call.display:
        return _cli_fields(call.display)
    length = "as the terminal has it" if SETTINGS.screen_length is None else SETTINGS.screen_length
    width = "as the terminal has it" if SETTINGS.screen_width is None else SETTINGS.screen_width
    idle = f"{SETTINGS.idle_timeout_min} minutes" if SETTINGS.idle_timeout_min else "disabled"
    return (
        f"CLI complete-on-space set to {'on' if SETTINGS.complete_on_space else 'off'}\n"
        f"CLI idle-timeout {idle}\n"
        f"CLI screen-length set to {length}\n"
        f"CLI screen-width set to {width}\n"
        f"CLI timestamp {'enabled' if SETTINGS.timestamp else 'disabled'}\n"
    )


def _cli_fields(display: str) -> str:
    fields = {
        "complete-on-space": SETTINGS.complete_on_space,
        "idle-timeout": SETTINGS.idle_timeout_min,
        "screen-length": SETTINGS.screen_length,
        "screen-width": SETTINGS.screen_width,
        "timestamp": SETTINGS.timestamp,
    }
    if display == "json":
        import msgspec

        return msgspec.json.format(msgspec.json.encode(fields), indent=2).decode() + "\n"
    from jsrpd.cli import render_xml

    words = {True: "on", False: "off", None: ""}
    leaves = [(name, words[value] if value is None or isinstance(value, bool) else value) for name, value in fields.items()]
    return render_xml.reply(("cli-information", leaves))


def show_version(call: Call) -> str:
    """``show version``: fields as automation reads them (host name, model, release)."""
    import socket

    from jsrpd import __version__

    host = socket.gethostname().partition(".")[0]
    if call.display == "json":
        import msgspec

        tree = {"host-name": host, "product-model": "jsrpd", "version": __version__}
        return msgspec.json.format(msgspec.json.encode(tree), indent=2).decode() + "\n"
    if call.display == "xml":
        from jsrpd.cli import render_xml

        names = (("host-name", host), ("product-model", "jsrpd"), ("product-name", "jsrpd"), ("junos-version", __version__))
        return render_xml.reply(("software-information", names))
    return f"Hostname: {host}\nModel: jsrpd\njsrpd: {__version__}\n"


def leave(_call: Call) -> str:
    """``exit``, ``quit``."""
    raise Leave
