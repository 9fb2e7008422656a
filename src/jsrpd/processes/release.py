"""``jsrp release``: take away everything the daemon owns, after a crash or before an uninstall.

The kernel's own rule for the ``local`` table is put back before ours is removed, so the host stays reachable.
"""

import sys

from jsrpd.data_plane.plan import LOCAL_TABLE, Add, LinkUp, Operation, Remove, Rule
from jsrpd.kernel import sysctl
from jsrpd.kernel.gate import detach_all
from jsrpd.kernel.nftables import CarriedTable
from jsrpd.kernel.rtnetlink import RtNetlink
from jsrpd.processes.directories import directories
from jsrpd.processes.kernel import Journal
from jsrpd.processes.pid_file import AlreadyRunning, PidFile

EX_TEMPFAIL = 75


def main() -> int:
    """0 when nothing is left; 75 while the daemon runs."""
    places = directories()
    pid_file = PidFile(places.pid_file)
    try:
        pid_file.lock()
    except AlreadyRunning:
        print("jsrpd is running; stop it first", file=sys.stderr)
        return EX_TEMPFAIL
    except OSError:
        pass  # Without a runtime directory no daemon can be running.
    journal = Journal(places.state)
    rtnetlink = RtNetlink()
    reths = frozenset(journal.reths)
    observed = rtnetlink.observe(reths, frozenset())
    kernels_own = [Rule(family, 0, LOCAL_TABLE) for family in (4, 6)]
    operations: list[Operation] = [Add(rule) for rule in kernels_own]
    operations += [Remove(thing) for thing in observed.things if not isinstance(thing, LinkUp) and thing not in kernels_own]
    operations += [Remove(address) for address in journal.addresses if address.interface in observed.links]
    rtnetlink.execute(operations, observed.links)
    CarriedTable().replace(())
    for child in set(journal.reths.values()):
        if child in observed.links:
            detach_all(observed.links[child].index)
    for name, value in journal.sysctls.items():
        sysctl.write(name, value)
    journal.remove()
    pid_file.remove()
    print(f"released {len(reths)} reths and {len(operations) - len(kernels_own)} objects")
    return 0


if __name__ == "__main__":
    sys.exit(main())
