"""Which half of which cluster this node is: ``identity.conf``, outside the configuration both nodes share."""

from pathlib import Path

import msgspec

from jsrpd.configuration.junos import SyntaxProblem, parse
from jsrpd.configuration.schema import is_integer

MAX_CHARACTERS = 1 << 16
FILE_NAME = "identity.conf"


class Identity(msgspec.Struct, frozen=True):
    """``cluster_id`` 1 to 255, ``node_id`` 0 or 1."""

    cluster_id: int
    node_id: int


def read_identity(directory: Path) -> Identity | None:
    """None when the node is not clustered. ValueError when the file says something else."""
    path = directory / FILE_NAME
    try:
        with path.open() as file:
            tree = parse(file.read(MAX_CHARACTERS))
    except FileNotFoundError:
        return None
    except SyntaxProblem as error:
        raise ValueError(f"{path}:{error.line}: {error.message}") from error
    numbers = {}
    for word, low, high in (("cluster-id", 0, 255), ("node", 0, 1)):
        node = tree.find(word)
        text = next(iter(node.children), "") if node else ""
        if not is_integer(text, low, high):
            raise ValueError(f"{path}: {word} must be {low}..{high}")
        numbers[word] = int(text)
    return Identity(numbers["cluster-id"], numbers["node"]) if numbers["cluster-id"] else None


def write_identity(directory: Path, identity: Identity | None) -> None:
    """Replace the file in one step; None writes cluster-id 0, which means not clustered."""
    directory.mkdir(parents=True, exist_ok=True)
    cluster_id, node_id = (identity.cluster_id, identity.node_id) if identity else (0, 0)
    fresh = directory / f"{FILE_NAME}.new"
    fresh.write_text(f"cluster-id {cluster_id};\nnode {node_id};\n")
    fresh.replace(directory / FILE_NAME)
