"""How many scans a visitor, and all visitors, may have labelled."""

from __future__ import annotations

import ipaddress
import time
from collections import deque
from collections.abc import Callable

from ctct.demo.settings import Quotas

_HOUR_S = 3600.0


class HourlyQuota:
    """Counts scans within the last hour; for one thread.

    Args:
        clock: seconds.

    Attributes:
        quotas: the limits.
    """

    def __init__(self, quotas: Quotas, clock: Callable[[], float] = time.monotonic) -> None:
        self.quotas, self._clock = quotas, clock
        self._all: deque[tuple[float, str]] = deque()

    def take(self, visitor: str) -> str:
        """Count a scan of a visitor, unless it is one too many: then the reason, otherwise ""."""
        now = self._clock()
        while self._all and self._all[0][0] <= now - _HOUR_S:
            self._all.popleft()
        own = [when for when, who in self._all if who == visitor]
        for taken, limit, whose in (
            (own, self.quotas.hourly, "You have"),
            ([when for when, _ in self._all], self.quotas.hourly_in_sum, "All visitors have"),
        ):
            if len(taken) >= limit:
                minutes = (taken[-limit] + _HOUR_S - now) / 60
                return f"{whose} had {limit} scans in an hour; come back in {minutes:.0f} minutes"
        self._all.append((now, visitor))
        return ""


def visitor_at(address: str) -> str:
    """Whom an address stands for: one that has an IPv6 address usually has its whole /64."""
    try:
        version = ipaddress.ip_address(address).version
        return str(ipaddress.ip_network(f"{address}/{32 if version == 4 else 64}", strict=False))
    except ValueError:
        return address
