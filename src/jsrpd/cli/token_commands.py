"""Tokens for the REST interface over TCP: made, listed and taken back on the node they are for."""

import time

from jsrpd.cli.commands import Call, CommandFailed, configuration_directory, file_problem
from jsrpd.model.access import Access


def generate_token(call: Call) -> str:
    """``request system api-token generate NAME access ACCESS``: the token, which is kept nowhere."""
    from jsrpd.configuration.api_tokens import TokenFileError, make_token

    try:
        secret = make_token(configuration_directory(), call.values["name"], Access(call.values["access"]))
    except TokenFileError as error:
        raise CommandFailed(f"error: {error}") from error
    except OSError as error:
        raise file_problem(error, configuration_directory()) from error
    return f"{secret}\n"


def revoke(call: Call) -> str:
    """``request system api-token revoke NAME``."""
    from jsrpd.configuration.api_tokens import TokenFileError, revoke_token

    try:
        revoke_token(configuration_directory(), call.values["name"])
    except TokenFileError as error:
        raise CommandFailed(f"error: {error}") from error
    except OSError as error:
        raise file_problem(error, configuration_directory()) from error
    return f"{call.values['name']} is revoked\n"


def show_tokens(call: Call) -> str:
    """``show system api-tokens``: names, not tokens."""
    from jsrpd.configuration.api_tokens import TokenFileError, read_tokens

    try:
        tokens = read_tokens(configuration_directory())
    except TokenFileError as error:
        raise CommandFailed(f"error: {error}") from error
    if call.display == "json":
        import msgspec

        listed = [{"name": token.name, "access": token.access.value, "made": token.made} for token in tokens]
        return msgspec.json.format(msgspec.json.encode(listed), indent=2).decode() + "\n"
    if call.display == "xml":
        from jsrpd.cli import render_xml

        leaves = [[("name", one.name), ("access", one.access.value), ("made", _day(one.made))] for one in tokens]
        return render_xml.reply(("api-token-information", [("api-token", one) for one in leaves]))
    return "".join(f"{token.name:<32}{token.access.value:<12}{_day(token.made)}\n" for token in tokens) or "No tokens\n"


def _day(made: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(made))
