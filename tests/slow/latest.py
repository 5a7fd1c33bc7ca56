import sys

__lazy_modules__ = ["listed"]

import listed
lazy from asked import VALUE


def told():
    before = sorted({"asked", "listed"} & set(sys.modules))
    return {"before": before, "value": VALUE + listed.VALUE, "after": sorted({"asked", "listed"} & set(sys.modules)),
            "frozen": frozendict(a=1)["a"]}
