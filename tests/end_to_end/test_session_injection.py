"""Connections rebuilt in a kernel that has forgotten them, shown by the packets that go on (SPEC section 8).

A router with a strict firewall between a client and a server. What it says of its connections is kept, its table is
flushed, from then on it takes no new connection, and the messages made for a peer are injected. Counting entries would
prove nothing: a verbatim copy of an entry with NAT is accepted by the kernel and is dead, and one test shows that.
"""

import itertools
import os
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from jsrpd.kernel.ctnetlink import Dump, EventReader, Finder, Injector
from jsrpd.model.configuration import ClusterConfiguration, Reth, SessionFilter
from jsrpd.processes.expectation_relay import ExpectationRelay
from jsrpd.processes.session_injection import Injection
from jsrpd.sessions.attribution import Attribution
from jsrpd.sessions.ctnetlink import (
    CONFIRMED,
    CREATE,
    DELETE,
    DST_PORT,
    FIXED_TIMEOUT,
    HEADER,
    MARK,
    NESTED,
    NEW,
    REQUEST,
    STATUS,
    TIMEOUT,
    TUPLE_ORIG,
    TUPLE_REPLY,
    ZONE,
    attribute,
    ended,
    mended,
    message,
    number_of,
    parts_of,
    progress,
    relayed,
    retained,
    tuple_of,
    value_of,
)
from jsrpd.sessions.event_filter import event_filter
from tests.end_to_end.session_flows import PROTOCOLS, Ftp, Hosts, tcp
from tests.end_to_end.test_gate import eventually, inside, ip

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

NAT = ("none", "source", "destination", "both")
NETWORKS = {4: ("10.71.1.", "10.71.2.", "24"), 6: ("2001:db8:71::", "2001:db8:72::", "64")}
SERVERS = {"none": "11", "source": "12", "destination": "13", "both": "14"}
"""Last part of the server's address for each kind of NAT; DNAT is asked for under the same with 20 more."""
numbers = itertools.count(1)
SETTINGS = ClusterConfiguration(1, 0, reths=(Reth("reth0", 0, 1, "c1", "c1", bytes(6)),))
"""Whatever matches no prefix belongs to group 1."""


def firewall() -> str:
    """New connections from the client only, each in its first packet; NAT by the server's address."""
    lines = ["table inet firewall {", "ct helper ftp {", 'type "ftp" protocol tcp;', "}"]
    lines += ["chain helpers { type filter hook prerouting priority 0;", 'tcp dport 21 ct helper set "ftp"', "}"]
    lines += ["chain forward { type filter hook forward priority 0; policy drop;"]
    lines += ["ct state invalid counter drop", "ct state established,related accept"]
    lines += ["iifname c1 meta l4proto tcp tcp flags & (syn|ack) == syn ct state new accept"]
    lines += ["iifname c1 meta l4proto != tcp ct state new accept", "icmpv6 type { 135, 136 } accept", "}"]
    # What comes back to a masqueraded address and finds no connection must not be answered by the router itself.
    lines += ["chain local { type filter hook input priority 0;", "icmpv6 type { 135, 136 } accept", "iifname s1 drop", "}"]
    source, destination = [], []
    for family, (client, server, _) in NETWORKS.items():
        l3 = "ip" if family == 4 else "ip6"
        for kind in ("source", "both"):
            source.append(f'oifname "s1" {l3} saddr {client}9 {l3} daddr {server}{SERVERS[kind]} masquerade')
        for kind in ("destination", "both"):
            asked, meant = server + str(int(SERVERS[kind]) + 20), server + SERVERS[kind]
            destination.append(f'iifname "c1" {l3} daddr {asked} dnat {l3} to {meant}')
    lines += ["chain out { type nat hook postrouting priority 100;", *source, "}"]
    lines += ["chain in { type nat hook prerouting priority -100;", *destination, "}", "}"]
    return "\n".join(lines)


@dataclass
class Router:
    """Three namespaces in a row; ``name`` of the middle one, whose table is lost."""

    hosts: Hosts
    name: str

    def nft(self, *words: str) -> None:
        subprocess.run(["ip", "netns", "exec", self.name, "nft", *words], check=True, capture_output=True)

    def forget(self) -> None:
        """The table is gone, and nothing new is let in."""
        subprocess.run(["ip", "netns", "exec", self.name, "conntrack", "-F"], check=True, capture_output=True)
        self.nft("insert", "rule", "inet", "firewall", "forward", "ct", "state", "new", "drop")


@pytest.fixture
def router() -> Iterator[Router]:
    number = next(numbers)
    prefix = f"jsrpd-inject-{os.getpid()}-{number}"
    made = Router(Hosts(f"{prefix}-client", f"{prefix}-server"), f"{prefix}-router")
    try:
        for namespace in (made.hosts.client, made.name, made.hosts.server):
            ip("netns", "add", namespace)
            ip("-n", namespace, "link", "set", "lo", "up")
        for far, near, host in ((made.hosts.client, "c1", "9"), (made.hosts.server, "s1", "11")):
            ip("-n", made.name, "link", "add", near, "type", "veth", "peer", "name", "eth0", "netns", far)
            hosts = (host,) if near == "c1" else tuple(SERVERS.values()) + tuple(str(int(h) + 20) for h in SERVERS.values())
            for networks in NETWORKS.values():
                network, length = networks[0 if near == "c1" else 1], networks[2]
                nodad = ["nodad"] if ":" in network else []
                ip("-n", made.name, "addr", "add", f"{network}1/{length}", "dev", near, *nodad)
                for one in hosts:
                    ip("-n", far, "addr", "add", f"{network}{one}/{length}", "dev", "eth0", *nodad)
            for namespace, device in ((made.name, near), (far, "eth0")):
                ip("-n", namespace, "link", "set", device, "up")
            for networks in NETWORKS.values():
                ip(
                    "-n",
                    far,
                    "route",
                    "add",
                    "default" if "." in networks[0] else "::/0",
                    "via",
                    f"{networks[0 if near == 'c1' else 1]}1",
                )
        script = "echo 1 > net/ipv4/ip_forward; echo 1 > net/ipv6/conf/all/forwarding\n"
        script += "echo 1 > net/netfilter/nf_conntrack_events; echo 0 > net/netfilter/nf_conntrack_tcp_loose\n"
        command = ["ip", "netns", "exec", made.name, "sh", "-ec", "cd /proc/sys; " + script]
        subprocess.run(command, check=True, capture_output=True)
        subprocess.run(["ip", "netns", "exec", made.name, "nft", "-f", "-"], input=firewall(), text=True, check=True)
        yield made
    finally:
        made.hosts.close()
        for namespace in (made.hosts.client, made.name, made.hosts.server):
            subprocess.run(["ip", "netns", "del", namespace], check=False, capture_output=True)


def addresses(family: int, nat: str) -> tuple[str, str]:
    """(whom the client asks for, who it is)."""
    network, own = NETWORKS[family][1], SERVERS[nat]
    asked = str(int(own) + 20) if nat in ("destination", "both") else own
    return network + asked, network + own


def heard_but(injector: Injector) -> EventReader:
    """A reader of what the injector has not caused."""
    return EventReader(event_filter(injector.port_id, SessionFilter())[0])


def dumped() -> list[bytes]:
    dump = Dump()
    found: list[bytes] = []
    while not dump.done:
        found += dump.read()
    dump.close()
    return found


def dumped_tcp() -> list[bytes]:
    """Without neighbours' questions."""
    return [one for one in dumped() if progress(parts_of(one))]


def as_told(events: list[bytes]) -> bytes:
    """What a peer is told about these events, in order."""
    said = b""
    for event in events:
        parts = parts_of(event)
        _, kind, flags, _, _ = HEADER.unpack_from(event)
        said += ended(event, parts) if kind == DELETE else relayed(event, parts, whole=bool(flags & CREATE))
    return said


def one_by_one(told: bytes) -> list[bytes]:
    """The messages of what a peer is told."""
    found, at = [], 0
    while at < len(told):
        found.append(told[at : at + HEADER.unpack_from(told, at)[0]])
        at += len(found[-1])
    return found


def unmended(injector: Injector, told: bytes) -> list[tuple[int, bytes]]:
    """What the kernel refuses for good."""
    refused = injector.inject(told)
    return injector.inject(b"".join(mended(message, number) for number, message in refused)) if refused else []


@pytest.mark.parametrize("nat", NAT)
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("family", NETWORKS)
def test_connection_goes_on(router: Router, family: int, protocol: str, nat: str) -> None:
    with inside(router.name):
        injector = Injector()
        reader = heard_but(injector)
        talk = PROTOCOLS[protocol](router.hosts, *addresses(family, nat))
        eventually(talk, "the connection stands")
        assert talk()
        told = as_told(reader.read(1000))
        router.forget()
        reader.read(1000)
        assert not talk(), "the router should have forgotten"
        assert unmended(injector, told) == []
        assert talk()
        assert [event for event in reader.read(1000) if HEADER.unpack_from(event)[4]] == [], "own injections come back as events"
        # The other way to bring a connection across: from a dump, as in a cold sync; with our own kept beforehand.
        for connection in dumped():
            refused = injector.inject(retained(connection, parts_of(connection), 86_400, liberal=True))
            assert not refused or number_of(parts_of(connection), STATUS) & FIXED_TIMEOUT
        again = b"".join(relayed(connection, parts_of(connection), whole=True) for connection in dumped())
        subprocess.run(["ip", "netns", "exec", router.name, "conntrack", "-F"], check=True, capture_output=True)
        assert not talk()
        assert unmended(injector, again) == []
        eventually(talk, "alive again")
        # And its end: nothing gets through any more.
        injector.inject(b"".join(ended(connection, parts_of(connection)) for connection in dumped()))
        assert dumped() == []
        assert not talk()


@pytest.mark.parametrize("nat", NAT)
def test_mark_label_and_zone_are_carried(router: Router, nat: str) -> None:
    """What the firewall has written on a connection decides about its next packet as well."""
    rules = ["table inet marks {", "chain zones { type filter hook prerouting priority -300;", "ct zone set 5", "}"]
    rules += ["chain written { type filter hook forward priority -10;"]
    rules += ["iifname c1 ct state new ct mark set 7", "iifname c1 ct state new ct label set 3", "}"]
    rules += ["chain read { type filter hook forward priority -5;", "ct state established ct mark != 7 drop"]
    rules += ["ct state established ct label 3 accept", "ct state established drop", "}", "}"]
    subprocess.run(["ip", "netns", "exec", router.name, "nft", "-f", "-"], input="\n".join(rules) + "\n", text=True, check=True)
    with inside(router.name):
        injector = Injector()
        reader = heard_but(injector)
        talk = PROTOCOLS["udp"](router.hosts, *addresses(4, nat))
        eventually(talk, "the connection stands")
        told = as_told(reader.read(1000))
        router.forget()
        assert not talk()
        assert injector.inject(told) == []
        assert talk()
        (connection,) = dumped()
        parts = parts_of(connection)
        assert (number_of(parts, MARK), number_of(parts, ZONE)) == (7, 5)
        injector.inject(ended(connection, parts))
        assert dumped() == [], "named with its zone"


def test_verbatim_copy_is_dead(router: Router) -> None:
    """The kernel takes it, and it serves nobody; this is why the NAT is rebuilt."""
    with inside(router.name):
        injector = Injector()
        talk = tcp(router.hosts, *addresses(4, "source"))
        assert talk()
        (connection,) = dumped()
        router.forget()
        length, kind, _, _, _ = HEADER.unpack_from(connection)
        assert injector.inject(HEADER.pack(length, kind, REQUEST | CREATE, 0, 0) + connection[HEADER.size :]) == []
        assert len(dumped()) == 1
        assert not talk()


@pytest.mark.parametrize("nat", ["source", "both"])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_what_has_its_addresses_gives_way(router: Router, protocol: str, nat: str) -> None:
    """A kernel that saw an answer before it knew the connection took it for one that begins there, without NAT.

    Where there is none, the kernel takes either for the other by itself; with a changed destination alone it takes another
    source port and says nothing (decision 0122).
    """
    with inside(router.name):
        injector, finder = Injector(), Finder()
        reader = heard_but(injector)
        talk = PROTOCOLS[protocol](router.hosts, *addresses(4, nat))
        eventually(talk, "the connection stands")
        told = as_told(reader.read(1000))
        (connection,) = dumped()
        router.forget()
        parts = parts_of(connection)
        answer = value_of(parts[TUPLE_REPLY])
        # Addresses and ports stand in this order in an IPv4 tuple; see ``Layout``.
        back = bytearray(answer)
        back[8:12], back[16:20] = answer[16:20], answer[8:12]
        back[36:38], back[44:46] = answer[44:46], answer[36:38]
        body = attribute(TUPLE_ORIG | NESTED, answer) + attribute(TUPLE_REPLY | NESTED, bytes(back))
        body += attribute(STATUS, struct.pack(">I", CONFIRMED)) + parts[TIMEOUT]
        obstacle = message(NEW, REQUEST | CREATE, 2, body)
        assert injector.inject(obstacle) == []
        missing: list[None] = []
        injection = Injection(injector, finder, Attribution(SETTINGS), lambda: missing.append(None))
        injection.owned = frozenset({1})
        injection.add(told)
        injection.flush()
        assert not talk(), "of our own group another's word counts nothing"
        assert injection.counters["refused by the kernel: EEXIST (another connection has its addresses)"]
        injection.owned = frozenset()
        injection.add(told)
        injection.flush()
        assert injection.counters["connections displaced"]
        assert talk()
        assert not missing and not injection.full


@pytest.mark.parametrize("known", [0, 1], ids=["nothing", "its first packet"])
@pytest.mark.parametrize("nat", NAT)
@pytest.mark.parametrize("family", NETWORKS)
def test_last_words_bring_a_connection_forward_only(router: Router, family: int, nat: str, known: int) -> None:
    """One that began while its group moved: the former owner forwarded the rest of its beginning, and told it a moment late."""
    with inside(router.name):
        injector = Injector()
        reader = heard_but(injector)
        talk = tcp(router.hosts, *addresses(family, nat))
        eventually(talk, "the connection stands")
        events = [event for event in reader.read(1000) if progress(parts_of(event))]
        (connection,) = dumped_tcp()
        router.forget()
        assert known == 0 or unmended(injector, as_told(events[:known])) == []
        assert not talk()
        injection = Injection(injector, Finder(), Attribution(SETTINGS), lambda: None)
        injection.owned = frozenset({1})
        injection.add_late(one_by_one(as_told(events[1:])))
        injection.flush()
        eventually(talk, "what was not answered is repeated")
        injection.add_late(one_by_one(as_told(events[:1]) + ended(connection, parts_of(connection))))
        injection.flush()
        assert [progress(parts_of(one)) for one in dumped_tcp()] == [progress(parts_of(connection))]
        assert talk()
        assert [name for name in injection.counters if name.startswith("refused")] == []


def test_last_words_about_another_translation(router: Router) -> None:
    """The first packet was repeated and came by us, who gave it another port; the server has answered the former owner's."""
    with inside(router.name):
        injector = Injector()
        reader = heard_but(injector)
        talk = tcp(router.hosts, *addresses(4, "source"))
        eventually(talk, "the connection stands")
        events = reader.read(1000)
        router.forget()
        reply = parts_of(events[0])[TUPLE_REPLY]
        theirs = attribute(DST_PORT, tuple_of(reply).l4[DST_PORT])
        ours = events[0].replace(reply, reply.replace(theirs, attribute(DST_PORT, struct.pack(">H", 40_000))))
        assert ours != events[0]
        assert unmended(injector, as_told([ours])) == []
        injection = Injection(injector, Finder(), Attribution(SETTINGS), lambda: None)
        injection.owned = frozenset({1})
        injection.add_late(one_by_one(as_told(events)))
        injection.flush()
        assert talk()


@pytest.mark.parametrize("nat", NAT)
@pytest.mark.parametrize("active", [False, True], ids=["passive", "active"])
@pytest.mark.parametrize("family", NETWORKS)
def test_an_announced_connection_may_begin(router: Router, family: int, active: bool, nat: str) -> None:
    """FTP's data connection, announced to a kernel that has forgotten everything since: expected by what a peer is told."""
    with inside(router.name):
        injector = Injector()
        reader, relay = heard_but(injector), ExpectationRelay(injector)
        ftp = Ftp(router.hosts, *addresses(family, nat), active=active)
        attribution = Attribution(SETTINGS)
        said = relay.heard(attribution, frozenset({1}))[0]
        assert said, "the kernel's helper has announced it"
        told = as_told(reader.read(1000))
        router.forget()
        subprocess.run(["ip", "netns", "exec", router.name, "conntrack", "-F", "expect"], check=True, capture_output=True)
        assert injector.inject(told) == []
        relay.came(b"".join(said), attribution, frozenset())
        assert relay.counters == {"expectations sent": 1, "expectations received": 1}, "the kernel has refused something"
        assert len(relay.all(attribution, frozenset({1}))) == 1
        assert ftp.transfer()


def test_what_nobody_announced_may_not_begin(router: Router) -> None:
    with inside(router.name):
        injector = Injector()
        reader = heard_but(injector)
        ftp = Ftp(router.hosts, *addresses(4, "none"), active=False)
        ftp.acknowledge()
        told = as_told(reader.read(1000))
        router.forget()
        subprocess.run(["ip", "netns", "exec", router.name, "conntrack", "-F", "expect"], check=True, capture_output=True)
        assert injector.inject(told) == []
        assert not ftp.transfer()


@pytest.mark.parametrize("active", [False, True], ids=["passive", "active"])
def test_an_end_of_an_expectation_ends_it_there(router: Router, active: bool) -> None:
    with inside(router.name):
        injector = Injector()
        relay, attribution = ExpectationRelay(injector), Attribution(SETTINGS)
        Ftp(router.hosts, *addresses(4, "both"), active=active)
        began = relay.heard(attribution, frozenset({1}))[0]
        subprocess.run(["ip", "netns", "exec", router.name, "conntrack", "-F", "expect"], check=True, capture_output=True)
        ended_there = relay.heard(attribution, frozenset({1}))[0]
        relay.came(b"".join(began), attribution, frozenset())
        assert relay.all(attribution, frozenset({1}))
        relay.came(b"".join(ended_there), attribution, frozenset())
        assert not relay.all(attribution, frozenset({1}))
        relay.came(b"".join(began), attribution, frozenset({1}))
        assert not relay.all(attribution, frozenset({1})), "about a group of our own nobody else has a word"
