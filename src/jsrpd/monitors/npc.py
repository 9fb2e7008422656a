"""Network cards: present, driven, and within the limits that were set for flaps, errors and stalls.

Carrier is the business of the interface monitor. Whether a card is there can be said only of what was once seen to have
a device behind it: virtual interfaces have none. Limits, when set, hold for every interface.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from jsrpd.model.configuration import NpcMonitoring
from jsrpd.model.time import SECOND, Duration, Instant
from jsrpd.monitors.events import Sample
from jsrpd.monitors.rates import Rate

WINDOW: Duration = 60 * SECOND


@dataclass(frozen=True, slots=True)
class Card:
    """One interface as read. ``device``: has a device behind it; ``driver``: its name, empty for none.

    ``pci_errors``: uncorrectable errors of its device since boot; None where the machine does not count them.
    """

    device: bool
    driver: str
    carrier_losses: int
    errors: int
    transmit_timeouts: int
    pci_errors: int | None = None


class NpcSamples:
    """Readings into samples; ``groups`` by interface: those that a card carries."""

    def __init__(self, configuration: NpcMonitoring, groups: Mapping[str, tuple[int, ...]]) -> None:
        self.configuration, self.groups = configuration, groups
        self._devices: set[str] = set()
        self._rates: dict[str, Rate] = {}

    def of(self, now: Instant, cards: Mapping[str, Card]) -> tuple[Sample, ...]:
        """One round; an interface that is missing among ``cards`` does not exist."""
        samples: list[Sample] = []
        for interface, groups in self.groups.items():
            card = cards.get(interface)
            if card is not None and card.device:
                self._devices.add(interface)
            if interface in self._devices:
                present = card is not None and card.device
                samples.append(Sample(f"{interface} device", present, "present" if present else "gone", "present", groups))
                if card is not None and present:
                    driver = bool(card.driver)
                    samples.append(Sample(f"{interface} driver", driver, card.driver or "unbound", "bound", groups))
            if card is not None:
                samples += self._limits(now, interface, card, groups)
        return tuple(samples)

    def _limits(self, now: Instant, interface: str, card: Card, groups: tuple[int, ...]) -> list[Sample]:
        limits = (
            ("flaps", self.configuration.flap_limit, card.carrier_losses),
            ("errors", self.configuration.error_limit, card.errors),
            ("transmit queue", self.configuration.transmit_timeout_limit, card.transmit_timeouts),
            ("PCI errors", self.configuration.pci_error_limit, card.pci_errors),
        )
        samples = []
        for what, limit, count in limits:
            if limit is not None and count is not None:
                name = f"{interface} {what}"
                grown = self._rates.setdefault(name, Rate(WINDOW)).take(now, count)
                samples.append(Sample(name, grown <= limit, f"{grown} a minute", f"{limit} a minute", groups))
        return samples
