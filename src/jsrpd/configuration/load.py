"""The way from a file to a configuration: read, parse, check, resolve; or every problem at once."""

from pathlib import Path

from jsrpd.configuration.check import check
from jsrpd.configuration.identity import Identity
from jsrpd.configuration.junos import SyntaxProblem, parse
from jsrpd.configuration.one_line import spread
from jsrpd.configuration.problems import ConfigurationError, Problem
from jsrpd.configuration.resolve import Resolver
from jsrpd.model.configuration import ClusterConfiguration


def load(text: str, identity: Identity, name: str = "jsrpd.conf") -> ClusterConfiguration:
    """ConfigurationError with every problem found."""
    try:
        tree = parse(text)
    except SyntaxProblem as error:
        raise ConfigurationError(name, [Problem(error.line, error.column, "", error.message)]) from error
    spread(tree)
    problems = check(tree)
    if problems:
        raise ConfigurationError(name, problems)
    resolver = Resolver(tree, identity.cluster_id, identity.node_id)
    configuration = resolver.configuration()
    if resolver.problems:
        raise ConfigurationError(name, resolver.problems)
    return configuration


def load_file(path: Path, identity: Identity) -> ClusterConfiguration:
    """OSError when it cannot be read."""
    return load(path.read_text(errors="replace"), identity, str(path))
