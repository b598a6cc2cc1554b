"""The machines on which the exchanges were captured, rebuilt: which nodes, with which keys, tokens and callers.

A lab is a run of exchanges that share their nodes; it begins with fresh ones.  `STEPS` are what the capture did in between without
writing it down, as far as the exchanges that follow need it: requests of an operator, by the index of the exchange they precede.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LAN_CLIENT = "192.168.77.10"
OUTSIDER = "198.51.100.10"


@dataclass(frozen=True)
class Machine:
    """One node of a lab."""
    node_id: str
    display_name: str
    token: str = ""
    profile: Mapping[str, str] = field(default_factory=dict)
    caller: str = ""              # the address its callers come from; "" = loopback


@dataclass(frozen=True)
class Lab:
    """Nodes by the name under which the exchanges mention them, and the captured URLs that led to them."""
    name: str
    first: int                    # index of the first exchange
    machines: Mapping[str, Machine]
    urls: Mapping[str, str] = field(default_factory=dict)      # captured URL -> name of a machine, or "closed" or "foreign"
    usual: str = "alpha"


def plain(name: str, **more: Any) -> Machine:
    return Machine(f"{name}-node", name.title(), **more)


_LOOPBACK = {"http://127.0.0.1:8421": "alpha", "http://127.0.0.1:8422": "beta", "http://127.0.0.1:8423": "delta",
             "http://127.0.0.1:8429": "closed", "http://127.0.0.2:8422": "closed"}
_LAN = {"http://192.168.77.10:8421": "alpha", "http://192.168.77.11:8421": "beta", "http://192.168.77.11:9999": "foreign"}
_STORES = {"http://127.0.0.1:29461": "alpha", "http://127.0.0.1:29462": "beta", "http://127.0.0.1:29463": "gamma",
           "http://127.0.0.1:29465": "epsilon", "http://127.0.0.1:29472": "beta", "http://127.0.0.1:29473": "gamma"}
_FIVE = {"alpha": plain("alpha"), "beta": plain("beta"), "gamma": plain("gamma", token="gamma-operator-token"), "delta": plain("delta"),
         "epsilon": plain("epsilon", caller=OUTSIDER)}
_LAN_ALPHA = {"alpha": plain("alpha", caller=LAN_CLIENT)}
_TOKEN_ALPHA = {"alpha": plain("alpha", token="change-me", caller=LAN_CLIENT), "beta": plain("beta")}
_MISSIONS = {"alpha-node": plain("alpha"), "beta-node": plain("beta"), "delta-node": plain("delta", token="example-token"),
             "phone-node": Machine("phone-node", "Phone", profile={"device_class": "light", "form_factor": "phone"})}

LABS: Mapping[str, tuple[Lab, ...]] = {
    "runtime": (
        Lab("two nodes on loopback", 0, {name: plain(name) for name in ("alpha", "beta", "delta")}, _LOOPBACK),
        Lab("one node on loopback", 90, {"alpha": plain("alpha")}),
        Lab("one node with four events", 182, {"alpha": plain("alpha")}),
        Lab("a host with an address in the network", 189, {"alpha": plain("alpha")}),
        Lab("open to the network, no token", 190, _LAN_ALPHA),
        Lab("open to the network, with a token", 196, _TOKEN_ALPHA, _LAN),
    ),
    "ops": (Lab("operations", 0, _FIVE),),
    "artifacts": (Lab("artifact stores", 0, _FIVE, _STORES),),
    "missions": (Lab("missions", 0, _MISSIONS, {"http://127.0.0.1:31421": "alpha-node", "http://127.0.0.1:31422": "beta-node",
                                               "http://127.0.0.1:31423": "phone-node", "http://127.0.0.1:31424": "delta-node",
                                               "http://127.0.0.1:9": "closed"}, "alpha-node"),),
}

# Exchanges that another node than the lab's usual one answered, where the file does not say so.
ANSWERED_BY: Mapping[tuple[str, int], str] = {("runtime", index): "delta" for index in range(81, 88)}
# Exchanges whose caller was on the machine itself although others of the lab were not.
ON_LOOPBACK = frozenset({("runtime", 197), ("runtime", 219)})

Step = tuple[str, str, str, Any]       # machine, method, path, body

STEPS: Mapping[tuple[str, int], tuple[Step, ...]] = {
    ("runtime", 182): tuple(("alpha", "POST", "/mesh/lease/acquire", {"peer_id": "alpha-node", "resource": f"r{number}"})
                            for number in range(4)),
}

# Clients of the signed routes: their seeds, where the capture used published ones, and the tier they had.
SEEDS: Mapping[str, str] = {"tester-node": "01" * 32, "outsider-node": "02" * 32, "stranger-node": "03" * 32, "market-node": "05" * 32}
TIERS: Mapping[str, str] = {"outsider-node": "public", "market-node": "market"}
