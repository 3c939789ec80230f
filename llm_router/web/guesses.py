"""Guessing keys: each address may present a few wrong ones, then one every few seconds.

Behind one address may be many clients, so whoever had a right key there before is always let in.
Anybody else is refused without a look at the key, or the refusal would tell a right guess.
"""

import ipaddress
import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import lru_cache

from llm_router.clock import Clock

log = logging.getLogger(__name__)

FREE_GUESSES = 50
EVERY_S = 3.0
MAX_ADDRESSES = 4096


@dataclass(slots=True)
class _Address:
    """`left` guesses as of `at`; `known` are the names of keys, of which there are but a few."""

    left: float
    at: float
    known: set[str] = field(default_factory=set)


class Guesses:
    """What was presented from where, of the addresses that were heard of last."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._addresses: OrderedDict[str, _Address] = OrderedDict()

    def __len__(self) -> int:
        return len(self._addresses)

    def wait_s(self, peer: str, name: str | None) -> float:
        """Take note of a presented key, the one called `name` or a wrong one.

        Returns 0 where it counts, else for how long no key from there does.
        """
        address = self._address(_network(peer))
        if name is not None and name in address.known:
            return 0
        if address.left < 1:
            return (1 - address.left) * EVERY_S
        if name is not None:
            address.known.add(name)
            return 0
        address.left -= 1
        if address.left < 1:
            log.warning("%s presents one wrong key after another", peer)
        return 0

    def _address(self, network: str) -> _Address:
        now = self._clock.monotonic()
        address = self._addresses.setdefault(network, _Address(FREE_GUESSES, now))
        address.left = min(FREE_GUESSES, address.left + (now - address.at) / EVERY_S)
        address.at = now
        self._addresses.move_to_end(network)
        if len(self._addresses) > MAX_ADDRESSES:
            self._addresses.popitem(last=False)
        return address


@lru_cache(maxsize=MAX_ADDRESSES)
def _network(peer: str) -> str:
    """Return who is behind an address: with IPv6, each customer has 2**64 of them."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return peer
    if address.version == 4:
        return peer
    return str(address.ipv4_mapped or ipaddress.ip_network((int(address) >> 64 << 64, 64)))
