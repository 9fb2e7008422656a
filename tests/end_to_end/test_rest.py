"""The REST interface of a real daemon, as its users reach it: the UNIX socket, by several users, and TLS with a token."""

import contextlib
import grp
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from jsrpd.lab.certificate import self_signed
from jsrpd.lab.topology import inside
from tests.end_to_end.process_fixtures import CONFIGURATION, DAEMON, Node, bare_node

SHOW = "/api/v1/show/chassis/cluster"
REQUEST = "/api/v1/request/chassis/cluster"
ASK = """
import http.client, json, socket, sys
path, method, target, body = sys.argv[1:]
connection = http.client.HTTPConnection("localhost")
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.settimeout(20)
try:
    connection.sock.connect(path)
except PermissionError:
    sys.exit("the socket is closed to me")
connection.request(method, target, body or None, {"Content-Type": "application/json"})
answer = connection.getresponse()
print(answer.status, answer.read().decode())
"""


@pytest.fixture(scope="module")
def owner() -> Iterator[Node]:
    with bare_node() as made:
        certificate, key = self_signed(made.directory("etc"))
        rest = f"https {{ address 127.0.0.1; certificate {certificate}; private-key {key}; }}"
        made.configure(f"{CONFIGURATION}\nsystem {{ services {{ rest {{ {rest} }} }} }}\n")
        made.start("-l")
        made.wait_for_answer()
        made.wait(lambda: reachable(made), "the REST interface")
        yield made


def reachable(node: Node) -> bool:
    with contextlib.suppress(OSError, http.client.HTTPException):
        return ask(node, "GET", "/api/v1/whoami")[0] == 200
    return False


def ask(node: Node, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Status and content of an answer to root."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(20)
    with contextlib.closing(connection):
        connection.sock.connect(str(node.directory("run") / "http.sock"))
        content = json.dumps(body).encode() if body is not None else None
        connection.request(method, path, content, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read().decode()
        return answer.status, json.loads(text) if answer.headers["Content-Type"].startswith("application/json") else text


def ask_as(node: Node, user: int, groups: list[int], method: str, path: str, body: str = "") -> str:
    """What somebody else is answered: status and text; or what he says himself."""
    command = [sys.executable, "-c", ASK, str(node.directory("run") / "http.sock"), method, path, body]
    done = subprocess.run(
        ["setpriv", f"--reuid={user}", f"--regid={user}", f"--groups={','.join(map(str, groups)) or user}", *command],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or done.stderr.strip()


def test_shows_what_jsrp_shows(owner: Node) -> None:
    for words in (
        "show chassis cluster interfaces",
        "show chassis cluster explain",
        "show chassis cluster services",
        "show version",
    ):
        shown = json.loads(owner.run("jsrp", *words.split(), "|", "display", "json").stdout)
        status, content = ask(owner, "GET", f"/api/v1/{words.replace(' ', '/')}")
        assert status == 200
        assert _keys(content) == _keys(shown)
    configured = json.loads(owner.run("jsrp", "show", "configuration", "|", "display", "json").stdout)
    assert ask(owner, "GET", "/api/v1/show/configuration")[1] == configured
    assert ask(owner, "GET", "/metrics")[1].splitlines()[0].startswith("# HELP jsrpd_build_info")


def _keys(tree: Any) -> Any:
    """The shape of a tree: values may change from one moment to the next."""
    if isinstance(tree, dict):
        return {name: _keys(value) for name, value in tree.items()}
    return [_keys(one) for one in tree[:1]] if isinstance(tree, list) else None


def test_every_show_answers(owner: Node) -> None:
    """Each GET of the document, with its least parameters, on a node whose peer is away."""
    _, document = ask(owner, "GET", "/api/v1/openapi.json")
    for path, operations in document["paths"].items():
        if "get" not in operations or path.endswith("/stream"):
            continue
        needed = [p for p in operations["get"].get("parameters", []) if p["required"]]
        query = "?" + "&".join(f"{p['name']}={p['schema']['minimum']}" for p in needed) if needed else ""
        # Nothing has been committed here, so there is nothing to go back to.
        assert ask(owner, "GET", path + query)[0] == (409 if path.endswith("/rollback") else 200), path


def test_an_order_is_refused_as_jsrp_is_refused(owner: Node) -> None:
    status, content = ask(owner, "POST", f"{REQUEST}/failover", {"redundancy-group": 1, "node": 1})
    said = owner.run("jsrp", "request", "chassis", "cluster", "failover", "redundancy-group", "1", "node", "1").stderr
    assert (status, content) == (409, {"error": said.rstrip("\n")})


def test_who_ordered_stands_in_the_journal(owner: Node) -> None:
    assert ask(owner, "POST", "/api/v1/clear/chassis/cluster/failover-count")[0] == 200
    owner.wait(lambda: "root" in [event.get("by") for event in ask(owner, "GET", f"{SHOW}/events")[1]], "the order in the journal")


def test_local_users(owner: Node) -> None:
    """root may act; others have no access, then read where it is configured; members of the group may act."""
    if "jsrp" not in [group.gr_name for group in grp.getgrall()]:
        subprocess.run(["groupadd", "--system", "jsrp"], check=True)
    member = grp.getgrnam("jsrp").gr_gid
    for directory in (owner.lab.directory, owner.directory("run").parent, owner.directory("run")):
        directory.chmod(0o755)
    os.kill(owner.pids()["jsrpd: gateway"], signal.SIGKILL)
    owner.wait(lambda: set(owner.pids()) == DAEMON and reachable(owner), "a gateway that knows the group")
    assert ask_as(owner, 4321, [], "GET", f"{SHOW}/status") == "the socket is closed to me"
    assert ask_as(owner, 4321, [member], "GET", f"{SHOW}/status").startswith("200 ")
    order = ask_as(owner, 4321, [member], "POST", f"{REQUEST}/failover", '{"redundancy-group": 1, "node": 1}')
    assert order.startswith("409 ")
    configuration = owner.directory("etc") / "jsrpd.conf"
    text = configuration.read_text()
    configuration.write_text(text.replace("rest {", "rest { other-users read-only;"))
    os.kill(owner.pids()["jsrpd"], signal.SIGHUP)
    owner.wait(lambda: ask_as(owner, 4321, [], "GET", f"{SHOW}/status").startswith("200 "), "others may read")
    refused = ask_as(owner, 4321, [], "POST", f"{REQUEST}/failover", '{"redundancy-group": 1, "node": 1}')
    assert refused.startswith("403 "), refused
    assert "this needs operator" in refused
    assert ask_as(owner, 4321, [], "GET", "/api/v1/show/configuration").startswith("403 ")


def test_tls_with_a_token(owner: Node) -> None:
    """The token is made by the command, works at once, and no longer once it is taken back."""
    token = owner.run("jsrp", *["request", "system", "api-token", "generate", "grafana", "access", "read-only"]).stdout.strip()
    assert curl(owner, f"{SHOW}/status") == 401
    assert curl(owner, f"{SHOW}/status", token) == 200
    assert curl(owner, f"{REQUEST}/failover", token, "-d", "{}", "-H", "Content-Type: application/json") == 403
    assert "grafana" in owner.run("jsrp", "show", "system", "api-tokens").stdout
    assert owner.run("jsrp", *["request", "system", "api-token", "revoke", "grafana"]).returncode == 0
    assert curl(owner, f"{SHOW}/status", token) == 401


def curl(node: Node, path: str, token: str = "", *more: str) -> int:
    """Status over TLS, the certificate checked."""
    script = (
        "import ssl, sys, urllib.request as u, urllib.error\n"
        "path, token, file, body = sys.argv[1:]\n"
        "context = ssl.create_default_context(cafile=file)\n"
        "context.check_hostname = False\n"
        "headers = {'Content-Type': 'application/json', **({'Authorization': 'Bearer ' + token} if token else {})}\n"
        "request = u.Request('https://127.0.0.1:9470' + path, body.encode() or None, headers)\n"
        "try:\n    print(u.urlopen(request, context=context, timeout=20).status)\n"
        "except urllib.error.HTTPError as error:\n    print(error.code)\n"
    )
    certificate = str(node.directory("etc") / "localhost.pem")
    body = more[1] if more else ""
    command = inside(node.namespace, sys.executable, "-c", script, path, token, certificate, body)
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_the_stream_tells_of_a_failure(owner: Node) -> None:
    """The cable is pulled: the journal's event comes, and a status in which the failure stands."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(5)
    connection.connect(str(owner.directory("run") / "http.sock"))
    with connection, connection.makefile("rb") as lines:
        connection.sendall(b"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert lines.readline().split(b" ")[1] == b"200"
        subprocess.run(["ip", "-n", owner.client, "link", "set", "lan", "down"], check=True)
        seen: list[str] = []
        wanted = [("lan", '"kind"'), ('"failures":["IF"]',)]
        try:
            while not all(any(all(word in line for word in words) for line in seen) for words in wanted):
                line = lines.readline().decode()
                assert line != ": alive\n", seen
                seen.append(line)
        finally:
            subprocess.run(["ip", "-n", owner.client, "link", "set", "lan", "up"], check=True)


def test_a_gateway_that_dies_is_back(owner: Node) -> None:
    engine = owner.pids()["jsrpd: engine"]
    os.kill(owner.pids()["jsrpd: gateway"], signal.SIGKILL)
    owner.wait(lambda: set(owner.pids()) == DAEMON and reachable(owner), "REST again")
    assert owner.pids()["jsrpd: engine"] == engine
