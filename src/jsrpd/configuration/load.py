"""The way from a file to a configuration: read, parse, check, resolve; or every problem at once."""

from pathlib import Path

from jsrpd.configuration.check import check
from jsrpd.configuration.files import parsed, text_at
from jsrpd.configuration.identity import Identity
from jsrpd.configuration.junos import SyntaxProblem, without
from jsrpd.configuration.one_line import spread
from jsrpd.configuration.problems import ConfigurationError, Problem
from jsrpd.configuration.resolve import Resolver
from jsrpd.model.configuration import ClusterConfiguration


def load(text: str, identity: Identity, name: str = "jsrpd.conf") -> ClusterConfiguration:
    """ConfigurationError with every problem found."""
    try:
        tree = parsed(text, name)
    except SyntaxProblem as error:
        raise ConfigurationError(name, [Problem(error.line, error.column, "", error.message)]) from error
    spread(tree)
    problems = check(tree)
    sound = without(tree, {(problem.line, problem.column) for problem in problems})
    # Both nodes read the same text, so what is wrong on either is wrong. What seems to be missing may stand in a
    # statement that was left out as wrong, and is not worth a line of its own then.
    here, there = (Resolver(sound, identity.cluster_id, node) for node in (identity.node_id, 1 - identity.node_id))
    configuration, _ = here.configuration(), there.configuration()
    missing = [] if problems else here.missing + there.missing
    problems = problems + missing + here.problems + there.problems
    if problems:
        raise ConfigurationError(name, problems)
    return configuration


def load_file(path: Path, identity: Identity) -> ClusterConfiguration:
    """OSError when it cannot be read."""
    return load(text_at(path), identity, str(path))
