"""How large a planned dataset will be: a few of its pairs are made and thrown away."""

from __future__ import annotations

from p2pcli.jobs.pairs_plan import PairsPlan, Shard
from p2pcli.jobs.pairs_worker import encoded_sizes

_PROBED = 8


def estimate_bytes(plan: PairsPlan) -> int:
    """Bytes of all shards, from at most 8 items spread over the plan; 0 where none of them can be made."""
    items = [item for shard in plan.shards for item in shard.items]
    probed = items[:: max(1, len(items) // _PROBED)][:_PROBED]
    sizes = [
        size for item in probed for size in encoded_sizes(Shard("probe", "train", (item,)), plan.settings)
    ]
    return round(sum(sizes) / len(probed) * len(items)) if sizes else 0
