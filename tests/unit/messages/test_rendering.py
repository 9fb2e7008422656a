"""Bytes as a syslog receiver sees them."""

import datetime

from jsrpd.messages.catalogue import ha_control_link_up, notice, rg_state_change, socket_recv_hb_failure, usage
from jsrpd.messages.rendering import render_bsd, render_rfc5424, render_text

AT = datetime.datetime(2026, 6, 3, 11, 38, 3, 451_900, tzinfo=datetime.UTC)
MOVED = rg_state_change(1, "secondary-hold", "secondary", "Ready to become secondary")


def test_bsd_form() -> None:
    assert render_bsd(MOVED, AT, "fw-a", 10035) == (
        b"<25>Jun  3 11:38:03 fw-a jsrpd[10035]: JSRPD_RG_STATE_CHANGE: Redundancy-group 1 transitioned from "
        b"'secondary-hold' to 'secondary' state due to Ready to become secondary"
    )


def test_bsd_form_for_the_local_daemon() -> None:
    """As from syslog(3): what stands behind the time is the tag."""
    assert render_bsd(usage(), AT, "", 7).startswith(b"<27>Jun  3 11:38:03 jsrpd[7]: JSRPD_USAGE: Usage")


def test_structured_form() -> None:
    assert render_rfc5424(MOVED, AT, "fw-a", 10035) == (
        b"<25>1 2026-06-03T11:38:03.451Z fw-a jsrpd 10035 JSRPD_RG_STATE_CHANGE [junos@2636.1.1.1.2.129 "
        b'rg-id="1" old-state="secondary-hold" new-state="secondary" reason="Ready to become secondary"] '
        b"Redundancy-group 1 transitioned from 'secondary-hold' to 'secondary' state due to Ready to become secondary"
    )


def test_structured_form_escapes_and_names_the_peer() -> None:
    data = render_rfc5424(socket_recv_hb_failure('a"b]c\\d', "node1"), AT, "fw-a", 1)
    assert b'error-message="a\\"b\\]c\\\\d" peer="node1"]' in data


def test_no_parameters_is_a_dash() -> None:
    assert render_rfc5424(usage(), AT, "", 1).startswith(b"<27>1 2026-06-03T11:38:03.451Z - jsrpd 1 JSRPD_USAGE - Usage")


def test_extra_fields_without_variables() -> None:
    assert b'[junos@2636.1.1.1.2.129 link="ctl0"]' in render_rfc5424(ha_control_link_up("ctl0"), AT, "h", 1)


def test_a_message_is_one_line_whatever_the_value() -> None:
    assert render_text(notice("first\nsecond\x00\x1b[31m")) == "first; second  [31m"


def test_a_value_cannot_pose_as_a_variable() -> None:
    text = render_text(rg_state_change(1, "<reason>", "primary", "x"))
    assert text == "Redundancy-group 1 transitioned from '<reason>' to 'primary' state due to x"
