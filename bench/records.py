"""Figures out of the JSON records of kvtuner (docs/formats/eval-record.md)."""


def mean_kld(plan):
    """Of one of `plans` of `kvtuner eval kld --json`, nats."""
    return plan["kld"]["mean"]["value"]
