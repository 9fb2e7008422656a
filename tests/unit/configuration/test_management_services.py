"""Statements around the cluster: REST, traps, syslog receivers; what is missing is said with what to write."""

import pytest

from jsrpd.configuration.identity import Identity
from jsrpd.configuration.load import load
from jsrpd.configuration.problems import ConfigurationError
from jsrpd.model.configuration import ClusterConfiguration, RestService, SnmpUser, SyslogHost, TlsListener, TrapGroup

LINK = "set chassis cluster control-link 0 interface ctl\n"
USER = "set snmp v3 usm local-engine user u"


def read(*lines: str) -> ClusterConfiguration:
    return load(LINK + "".join(f"set {line}\n" for line in lines), Identity(1, 0))


def test_rest() -> None:
    assert read().rest == RestService()
    assert read("system services rest other-users read-only").rest == RestService(others_read=True)
    https = "system services rest https"
    files = (f"{https} certificate /c.pem", f"{https} private-key /k.pem")
    assert read(f"{https} address 192.0.2.1", *files).rest == RestService(
        https=(TlsListener("192.0.2.1", 9470, "/c.pem", "/k.pem"),)
    )
    assert read(f"{https} address 192.0.2.1 port 9999", *files).rest.https[0].port == 9999


def test_traps() -> None:
    group = "snmp trap-group noc"
    found = read(f"{group} targets 192.0.2.1", f"{group} targets 2001:db8::1", f"{group} categories chassis-cluster").trap_groups
    assert found == (TrapGroup("noc", ("192.0.2.1", "2001:db8::1")),)
    secret = f"{USER} authentication-sha256 authentication-password aaaaaaaa"[4:]
    private = f"{USER} privacy-aes128 privacy-password bbbbbbbb"[4:]
    (third,) = read(f"{group} version v3 ", f"{group} user u", f"{group} targets 192.0.2.1", secret, private).trap_groups
    assert third.user == SnmpUser("u", "sha256", "aaaaaaaa", "bbbbbbbb")


def test_syslog_over_tls() -> None:
    host = "system syslog host 192.0.2.1"
    assert read(f"{host} transport tls").syslog_hosts == (SyslogHost("192.0.2.1", 6514, False, "tls"),)
    found = read(f"{host} transport tls", f"{host} port 99", f"{host} certificate-authority /ca.pem", f"{host} server-name log")
    assert found.syslog_hosts == (SyslogHost("192.0.2.1", 99, False, "tls", "/ca.pem", "log"),)
    shown = read(f"{host} transport tls", f"{host} certificate /own.pem", f"{host} private-key /own.key").syslog_hosts
    assert shown == (SyslogHost("192.0.2.1", 6514, False, "tls", certificate="/own.pem", private_key="/own.key"),)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["system services rest https address 192.0.2.1"], "needs certificate FILE and private-key FILE"),
        (["system services rest other-users all"], "none | read-only"),
        (
            ["system syslog host 192.0.2.1 transport tls", "system syslog host 192.0.2.1 certificate /c"],
            "private-key FILE together",
        ),
        (
            ["system syslog host 192.0.2.1 certificate /c", "system syslog host 192.0.2.1 private-key /k"],
            "needs transport tls for its certificate",
        ),
        (["snmp trap-group noc version v2"], "needs targets ADDRESS"),
        (["snmp trap-group noc targets 192.0.2.1", "snmp trap-group noc version v3"], "version v3 needs user U"),
        (
            ["snmp trap-group noc targets 192.0.2.1", "snmp trap-group noc version v3", "snmp trap-group noc user x"],
            "version v3 needs user U",
        ),
        (
            [
                "snmp trap-group noc targets 192.0.2.1",
                "snmp trap-group noc version v3",
                "snmp trap-group noc user u",
                f"{USER} privacy-aes128 privacy-password bbbbbbbb"[4:],
            ],
            "needs authentication-sha256",
        ),
        ([f"{USER} authentication-sha authentication-password short"[4:]], "8 to 64 printable characters"),
    ],
)
def test_refused(lines: list[str], said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read(*lines)
    assert said in str(refused.value)
