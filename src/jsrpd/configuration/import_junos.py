"""The cluster and interface parts of an SRX cluster's configuration, as ours. Pure: text in, text and remarks out.

Whatever is not taken is a remark with its line and the reason; nothing is dropped in silence. Braces, ``set`` lines and
XML are read. Groups are expanded as Junos does, wildcards included, but for those of the nodes, which stay groups.

On an SRX each port has one name in the whole cluster, the second node's slots counted on behind the first's; here each
node has interfaces of its own. Which node a port belongs to follows from the fabric links, or from the pairs of children.
A table of names, which the user edits, says what the ports are called on Linux.
"""

import fnmatch
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, field

from jsrpd.configuration.candidate import Candidate
from jsrpd.configuration.imported import finished
from jsrpd.configuration.junos import Node, SyntaxProblem, Word, copy, parse, root
from jsrpd.configuration.junos_session import statements_of
from jsrpd.configuration.places import Role, Step, WrongWord, statements
from jsrpd.model.roles import NODE_IDS

NAMES_FILE = "import-names.conf"
"""Beside the imported file: a line a port, the vendor's name and ours."""
PORT = re.compile(r"(?:ge|xe|et|fe|mge)-(\d+)/(\d+)/(\d+)")
CONTROL = "control-link"
GROUPS, APPLY, EXCEPT, NODE = "groups", "apply-groups", "apply-groups-except", "${node}"
ADDITIVE = ("address", "member-interfaces", "interface-monitor", "redundancy-group", "unit", "family", "interfaces")
MAX_TEXT_BYTES = 16 << 20
"""The whole configuration of a firewall, policies and all."""
OTHER_INTERFACE = "addresses of other interfaces than reths are the operating system's"
REASONS = {
    "version": "the vendor's release",
    "security": "zones and policies are the firewall's (nftables)",
    "routing-options": "routes are the operating system's or a routing daemon's",
    "protocols": "protocols are a routing daemon's",
    "policy-options": "policies are a routing daemon's",
    "snmp": "not part of the cluster",
    "applications": "not part of the cluster",
}


def imported(text: str, name: str, names: dict[str, str] | None = None) -> tuple[str, list[str]]:
    """Our configuration, and the remarks. ValueError with what is wrong when it cannot be read at all."""
    if len(text) > MAX_TEXT_BYTES:
        raise ValueError(f"{name}: {len(text) >> 20} MB is more than a configuration has")
    try:
        if text.lstrip("\ufeff \t\r\n").startswith("<"):
            tree, remarks = _from_xml(text.lstrip("\ufeff \t\r\n")), list[str]()
        else:
            plain, remarks = statements_of(text, name)
            tree = parse(plain, keep=True)
    except SyntaxProblem as error:
        raise ValueError(f"{name}:{error.line}:{error.column}: {error.message}") from error
    return _Import(name, dict(names or {}), remarks).run(tree)


def read_names(text: str) -> dict[str, str]:
    """The table of names. ValueError for a line that is not two words."""
    names = dict[str, str]()
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if words and len(words) != 2:
            raise ValueError(f"{NAMES_FILE}:{number}: it is: PORT INTERFACE")
        if words:
            names[words[0]] = words[1]
    return names


def _from_xml(text: str) -> Node:
    """Statements are elements, the key of a list entry is its ``name``. SyntaxProblem."""
    if "<!ENTITY" in text or "<!DOCTYPE" in text:
        raise SyntaxProblem("a document type is not read", 1, 1)
    try:
        document = ET.fromstring(text)
    except ET.ParseError as error:
        raise SyntaxProblem(f"not XML: {error.msg}", error.position[0], error.position[1] + 1) from error
    found = (
        document if _tag(document) == "configuration" else next((e for e in document.iter() if _tag(e) == "configuration"), None)
    )
    if found is None:
        raise SyntaxProblem("no configuration in it", 1, 1)
    tree = root()
    for element in _statements(found):
        _take_element(element, tree, ())
    return tree


def _tag(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


HIDDEN = {("interfaces", "interface"), ("redundant-parent", "parent")}
"""Elements (parent, tag) whose word the vendor's text form leaves out."""
KEYS = ("name", "logical-interface-name")


def _statements(element: ET.Element) -> Iterator[ET.Element]:
    """What stands below, without comments: their namespace has the release in it."""
    return (child for child in element if not (_tag(child) == "comment" and "/junos/" in child.tag))


def _take_element(element: ET.Element, into: Node, above: tuple[str, ...]) -> None:
    tag = _tag(element)
    # One list's word is hidden in one place only: addresses of ip-monitoring.
    hidden = (*above[-1:], tag) in HIDDEN or (tag == "address" and above[-3:-1] == ("ip-monitoring", "family"))
    node = into if hidden else into.child(Word(tag, 1, 1))
    key = next((child for child in element if _tag(child) in KEYS), None)
    if key is not None:
        node = node.child(Word((key.text or "").strip(), 1, 1))
    elif not len(element) and (element.text or "").strip():
        node = node.child(Word((element.text or "").strip(), 1, 1))
    node.inactive = node.inactive or element.get("inactive") == "inactive"
    for child in _statements(element):
        if child is not key:
            _take_element(child, node, (*above, tag))


RANGE, MEMBERS, MOST_PORTS = "interface-range", ("member", "member-range"), 1024
TAGGING = ("vlan-tagging", "flexible-vlan-tagging", "native-vlan-id")
NO_UNITS = "a reth has unit 0 only; for a VLAN make the VLAN's own interface the child of a reth"
COMMAND = "not of the configuration: jsrp set chassis cluster cluster-id N node M, on each node"


@dataclass
class _Import:
    name: str
    names: dict[str, str]
    remarks: list[str] = field(default_factory=list)
    candidate: Candidate = field(default_factory=lambda: Candidate(root()))
    offset: int = 0
    """Slots of the first node; 0: not known."""
    used: dict[str, str] = field(default_factory=dict)

    def run(self, tree: Node) -> tuple[str, list[str]]:
        """In order: what is inactive goes, groups are expanded, every statement is taken or remarked upon."""
        self._leave_inactive(tree, ())
        self._unused_groups(tree)
        groups = tree.children.pop(GROUPS, root()).children
        _apply(tree, groups, ())
        self._ranges(tree.find("interfaces") or root())
        nodes = {n: copy(groups[f"node{n}"]) if f"node{n}" in groups and _wants_nodes(tree) else root() for n in NODE_IDS}
        _strip(tree)
        self.offset = self._slots(tree, nodes)
        for scope, part in ((None, tree), *nodes.items()):
            _strip(part)
            for words in part.statements():
                self._statement(words, scope)
        self._control_link()
        if GROUPS in self.candidate.tree.children:
            self.candidate.put([], [APPLY, NODE])
        self._unmapped()
        return finished(self.candidate.tree, self.remarks)

    def _remark(self, word: Word, what: str, reason: str) -> None:
        where = f"{self.name}:{word.line}: " if word.line > 1 or word.column > 1 else f"{self.name}: "
        self.remarks.append(f"{where}{what}: {reason}")

    def _leave_inactive(self, node: Node, path: tuple[str, ...]) -> None:
        for text, child in list(node.children.items()):
            if child.inactive:
                self._remark(child.word, " ".join((*path, text)), "inactive, not taken")
                del node.children[text]
            else:
                self._leave_inactive(child, (*path, text))

    def _unused_groups(self, tree: Node) -> None:
        applied = _applied(tree) | ({"node0", "node1"} if _wants_nodes(tree) else set())
        for name, group in (tree.find(GROUPS) or root()).children.items():
            if name not in applied:
                self._remark(group.word, f"groups {name}", "not applied anywhere, not taken")

    def _ranges(self, interfaces: Node) -> None:
        """What an ``interface-range`` says, said of each of its members."""
        ranges = interfaces.children.pop(RANGE, None)
        for name, stated in (ranges or root()).children.items():
            members = [*_members(stated, interfaces)]
            if not members:
                self._remark(stated.word, f"interfaces {RANGE} {name}", "no member of it is known; not taken")
            said = Node(stated.word, {text: child for text, child in stated.children.items() if text not in MEMBERS})
            for member in members:
                _lay_under(interfaces.child(Word(member, stated.word.line, stated.word.column)), said, 0)

    # -- which node a port belongs to -----------------------------------------------------------------------------------

    def _slots(self, tree: Node, nodes: dict[int, Node]) -> int:
        """Slots of the first node, from the fabric links, else from the children of the reths."""
        members = {n: self._fabric(n, tree, *nodes.values()) for n in NODE_IDS}
        if members[0] is not None and members[1] is not None:
            return members[1] - members[0]
        by_reth = dict[str, list[int]]()
        for part in (tree, *nodes.values()):
            for name, stated in (part.find("interfaces") or root()).children.items():
                port = PORT.fullmatch(name)
                for options in stated.children.values():
                    for reth in (options.find("redundant-parent") or root()).children:
                        if port:
                            by_reth.setdefault(reth, []).append(int(port[1]))
        steps = [max(slots) - min(slots) for slots in by_reth.values() if max(slots) > min(slots)]
        return min(steps, default=0)

    def _fabric(self, node: int, *parts: Node) -> int | None:
        for part in parts:
            stated = part.find("interfaces", f"fab{node}", "fabric-options", "member-interfaces")
            for name in stated.children if stated else ():
                port = PORT.fullmatch(name)
                if port:
                    return int(port[1])
        return None

    def _node_of(self, port: str) -> int:
        found = PORT.fullmatch(port)
        assert found is not None
        return int(self.offset > 0 and int(found[1]) >= self.offset)

    def _ours(self, port: str) -> str:
        """What a port is called on Linux."""
        found = PORT.fullmatch(port.partition(".")[0])
        if found is None:
            return port
        base = port.partition(".")[0]
        name = self.names.get(base) or base.replace("/", "-")
        self.used[base] = name
        return name

    # -- statements -----------------------------------------------------------------------------------------------------

    def _statement(self, path: tuple[Word, ...], scope: int | None) -> None:
        texts = [word.text for word in path]
        match texts:
            case ["chassis", "cluster", *below] if below:
                self._cluster(path, below, scope)
            case ["interfaces", name, *below] if below:
                self._interface(path, name, below, scope)
            case ["system", "host-name", _]:
                self._put(path, texts, scope)
            case [first, *_]:
                what = " ".join(texts[:2]) if first in ("chassis", "system") else first
                self._remark(path[0], what, REASONS.get(first, "not cluster or interfaces") + "; not taken")

    def _cluster(self, path: tuple[Word, ...], below: list[str], scope: int | None) -> None:
        match below:
            case ["redundancy-group", group, "interface-monitor", port, *rest] if PORT.fullmatch(port):
                words = ["chassis", "cluster", "redundancy-group", group, "interface-monitor", self._ours(port), *rest]
                self._put(path, words, self._node_of(port) if scope is None else scope)
            case ["control-link-recovery"]:
                self._remark(
                    path[-1], "chassis cluster control-link-recovery", "not needed: a node rejoins by itself, without a reboot"
                )
            case ["cluster-id" | "node", *rest]:
                self._remark(path[2], f"chassis cluster {' '.join(below)}", COMMAND)
            case ["control-ports" | "scb-control-ports", *_]:
                self._remark(path[2], f"chassis cluster {below[0]}", f"here a control link is an interface; {CONTROL} 0 is set")
            case ["heartbeat-interval", value] if value.isdigit():
                self._put(path, ["chassis", "cluster", *below], scope)
                if int(value) >= 1000:
                    self._remark(
                        path[-1], f"heartbeat-interval {value}", "taken as it is; 100 is the default here, ten times as fast"
                    )
            case _:
                self._put(path, ["chassis", "cluster", *below], scope)

    def _interface(self, path: tuple[Word, ...], name: str, below: list[str], scope: int | None) -> None:
        if re.fullmatch(r"fab[01]", name) and below[:2] == ["fabric-options", "member-interfaces"]:
            self._put(path, ["interfaces", name, *below[:2], *(self._ours(port) for port in below[2:])], None)
        elif re.fullmatch(r"reth\d+", name) and (below[0] in TAGGING or (below[0] == "unit" and below[1:2] != ["0"])):
            self._remark(path[1], f"interfaces {name} {' '.join(below[:4])}", f"{NO_UNITS}; not taken")
        elif re.fullmatch(r"reth\d+", name):
            self._put(path, ["interfaces", name, *below], scope)
        elif PORT.fullmatch(name) and below[1:2] == ["redundant-parent"]:
            self._put(path, ["interfaces", self._ours(name), *below], self._node_of(name) if scope is None else scope)
        else:
            reason = OTHER_INTERFACE if below[0] == "unit" else "not part of the cluster"
            self._remark(path[1], f"interfaces {name} {below[0]}", f"{reason}; not taken")

    def _put(self, path: tuple[Word, ...], words: list[str], scope: int | None) -> None:
        """As much of it as there is here; the rest is remarked upon."""
        above = [GROUPS, f"node{scope}"] if scope is not None else []
        taken = list(words)
        problem: WrongWord | None = None
        while taken:
            try:
                found = statements([*above, *taken])
            except WrongWord as error:
                problem = problem or error
                taken.pop()
                continue
            if problem is not None and not _says_something(found[-1]):
                taken.pop()
                continue
            self.candidate.put([], [*above, *taken])
            break
        if problem is not None:
            word = path[min(max(problem.at - len(above), 0), len(path) - 1)]
            self._remark(word, " ".join(word.text for word in path), f"{problem}; {'the rest is taken' if taken else 'not taken'}")

    def _control_link(self) -> None:
        if self.candidate.tree.find("chassis", "cluster") is None:
            return
        name = self.names.get(CONTROL, "")
        self.candidate.put([], ["chassis", "cluster", CONTROL, "0", "interface", name or "em0"])
        if not name:
            self.remarks.append(
                f"chassis cluster {CONTROL} 0 interface em0: an SRX has a port of its own for it; "
                f"name yours in {NAMES_FILE}: {CONTROL} INTERFACE"
            )

    def _unmapped(self) -> None:
        for port, name in self.used.items():
            if port not in self.names:
                node = f" of node{self._node_of(port)}" if self.offset else ""
                self.remarks.append(
                    f"{port}{node} is called {name}; to name it otherwise, write into {NAMES_FILE}: {port} INTERFACE"
                )
        if self.used and not self.offset:
            self.remarks.append(
                "which node a port belongs to is not seen from the file (no fab0 and fab1): all are taken as node0's"
            )


def _says_something(steps: list[Step]) -> bool:
    """Not only the way to a statement that could not be taken."""
    return steps[-1].place.role is Role.VALUE


# -- interface ranges --------------------------------------------------------------------------------------------------


def _members(stated: Node, interfaces: Node) -> Iterator[str]:
    """Ports of a range, by name, by pattern among those that are there, and from one to another."""
    for pattern in (stated.find("member") or root()).children:
        if re.search(r"[*?\[]", pattern):
            yield from (name for name in list(interfaces.children) if fnmatch.fnmatchcase(name, pattern))
        else:
            yield pattern
    for first, to in (stated.find("member-range") or root()).children.items():
        last = next(iter((to.find("to") or to.find("end-range") or root()).children), first)
        base, _, begin = first.rpartition("/")
        if last.rpartition("/")[0] == base and begin.isdigit() and last.rpartition("/")[2].isdigit():
            yield from (f"{base}/{port}" for port in range(int(begin), min(int(last.rpartition("/")[2]), MOST_PORTS) + 1))


# -- groups -----------------------------------------------------------------------------------------------------------


def _wants_nodes(tree: Node) -> bool:
    applied = tree.find(APPLY)
    return applied is not None and bool({NODE, "node0", "node1"} & set(applied.children))


def _applied(node: Node) -> set[str]:
    """Names of groups that are applied here or further down."""
    own = set((node.find(APPLY) or root()).children)
    return own.union(*(_applied(child) for child in node.children.values()))


def _strip(node: Node) -> None:
    for word in (APPLY, EXCEPT, GROUPS, "apply-macro"):
        node.children.pop(word, None)
    for child in node.children.values():
        _strip(child)


def _apply(node: Node, groups: dict[str, Node], path: tuple[str, ...], without: frozenset[str] = frozenset()) -> None:
    """Lay the groups that are applied here, or further up, under what stands there; the text itself wins."""
    excepted = node.find(EXCEPT)
    without = without | frozenset(excepted.children if excepted else ())
    applied = node.find(APPLY)
    for name in list(applied.children) if applied else []:
        if name != NODE and name in groups and name not in without and not re.fullmatch(r"node[01]", name):
            for part in _parts(groups[name], path):
                _lay_under(node, part, 0)
    for text, child in list(node.children.items()):
        if text not in (APPLY, EXCEPT):
            _apply(child, groups, (*path, text), without)


def _parts(group: Node, path: tuple[str, ...]) -> list[Node]:
    """What a group says at a path, its wildcards matched."""
    found = [group]
    for text in path:
        found = [child for node in found for pattern, child in node.children.items() if _matches(pattern, text)]
    return found


def _matches(pattern: str, text: str) -> bool:
    if pattern.startswith("<") and pattern.endswith(">"):
        return fnmatch.fnmatchcase(text, pattern[1:-1])
    return pattern == text


def _lay_under(upper: Node, lower: Node, depth: int) -> None:
    for text, child in lower.children.items():
        if text.startswith("<") and text.endswith(">"):
            for name, entry in upper.children.items():
                if _matches(text, name):
                    _lay_under(entry, child, depth + 1)
        elif text not in upper.children:
            upper.children[text] = _without_wildcards(child)
        elif text in ADDITIVE or not _is_value(upper.children[text]):
            _lay_under(upper.children[text], child, depth + 1)


def _without_wildcards(node: Node) -> Node:
    made = copy(node)
    made.children = {t: _without_wildcards(child) for t, child in made.children.items() if not t.startswith("<")}
    return made


def _is_value(node: Node) -> bool:
    """A statement with one value behind it, as far as can be seen without the vendor's schema."""
    return len(node.children) == 1 and not any(child.children for child in node.children.values())
