"""The settings of searches as people read them, and the limits that were asked for."""

from dataclasses import fields

from nas.formatting import told_setting
from nas.ledger.records import SearchConfig

LIMITS = {
    *("max_latency_ms", "max_latency_share", "max_size_kb", "max_memory_kb", "max_macs"),
    *("limits", "limit_shares", "medians", "median_latency_ms"),
}
"""The settings that are limits, which are compared by what they limit."""
TITLES = {"sampler": "algorithm", "only": "options", "fix": "fixed options", "first": "first networks"}
"""What people call settings, where it is not their name."""


def limits_asked(config: SearchConfig) -> dict[str, float | str]:
    """The limits that were asked for, by objective: numbers, and shares such as ``0.5x``."""
    shares = {name: f"{share!r}x" for name, share in config.shares.items()}
    return {**config.without_medians().limited, **shares}


def told_settings(config: SearchConfig) -> dict[str, str]:
    """Every setting by what people call it; of networks to begin with, how many there are."""
    values = {f.name: getattr(config, f.name) for f in fields(config) if f.name not in LIMITS}
    values |= {"limits": limits_asked(config), "first": len(config.first)}
    return {TITLES.get(name, name.replace("_", " ")): told_setting(value) for name, value in values.items()}
