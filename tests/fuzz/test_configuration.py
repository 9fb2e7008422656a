"""Any configuration: a value or problems with their places, never another exception, and the same on both nodes."""

from hypothesis import given, settings
from hypothesis import strategies as st

from jsrpd.configuration.identity import Identity
from jsrpd.configuration.junos import quoted
from jsrpd.configuration.load import load
from jsrpd.configuration.problems import ConfigurationError
from jsrpd.configuration.schema import TOP, Statement
from tests.unit.configuration.texts import SOUND

WORDS = "0 1 2 100 ² reth0 reth1 reth200 fab0 fab1 fab lan ctl0 on none node0 ${node}"
ADDRESSES = "192.0.2.1/24 192.0.2.9/24 192.0.2.1 2001:db8::1/64 fe80::1/64 fe80::1%lo"
VALUES = st.sampled_from([*WORDS.split(), *ADDRESSES.split(), "", "a b", "9" * 5000])


@st.composite
def paths(draw: st.DrawFn) -> list[str]:
    """A statement along the schema, ended anywhere, with values that fit now and then; or a few odd words."""
    path: list[str] = []
    allowed: dict[str, Statement] = TOP
    while allowed:
        word = draw(st.sampled_from(sorted(allowed)))
        statement = allowed[word]
        path += [word] if word else []
        if statement.key is not None or statement.value is not None:
            path.append(draw(VALUES))
        if draw(st.integers(0, 9)) == 0:
            break
        allowed = statement.below
    return path + draw(st.lists(VALUES, max_size=1 if draw(st.booleans()) else 0))


@st.composite
def lines(draw: st.DrawFn) -> str:
    """Some statements, in groups or not."""
    verb = draw(st.sampled_from(["set", "set", "set", "set groups node0", "set groups node1"]))
    return " ".join([verb, *map(quoted, draw(paths()))])


def outcome(text: str, node: int) -> str:
    try:
        load(text, Identity(7, node))
    except ConfigurationError as error:
        count = text.count("\n") + 1
        assert error.problems
        assert all(1 <= problem.line <= count and problem.column >= 1 and problem.message for problem in error.problems)
        return str(error)
    return ""


@settings(max_examples=150, deadline=None)
@given(st.booleans(), st.lists(lines(), max_size=6), st.booleans())
def test_any_statements(sound: bool, more: list[str], applied: bool) -> None:
    text = (SOUND if sound else "") + "\n".join([*more, *(['set apply-groups "${node}"'] if applied else [])]) + "\n"
    assert outcome(text, 0) == outcome(text, 1)
