"""Workloads in short: what tables and figures call them in place of their keys."""

import re
from functools import lru_cache

TIMES = "\N{MULTIPLICATION SIGN}"


@lru_cache(maxsize=20_000)
def workload_label(key: str) -> str:
    """A workload's key in short, such as ``conv2d 3x3 /2 16→32 @8x8 float/float``; else the key itself."""
    family, _, rest = key.partition("(")
    fields = dict(field.partition("=")[::2] for field in _FIELD.findall(rest))
    if not fields:
        return key
    return " ".join([family.replace("_", " "), *filter(None, (render(fields) for render in _LABEL_PARTS))])


# name=value, where a value may be a tuple: channels=(16, 32)
_FIELD = re.compile(r"\w+=(?:\([^)]*\)|[^,()]+)")

Fields = dict[str, str]


def _window(fields: Fields) -> str:
    if "kernel" not in fields:
        return ""
    stride = fields.get("stride", "1")
    return f"{fields['kernel']}{TIMES}{fields['kernel']}" + (f" /{stride}" if stride != "1" else "")


def _channels(fields: Fields) -> str:
    for kind in ("channels", "features"):
        if f"in_{kind}" in fields:
            return f"{fields[f'in_{kind}']}→{fields[f'out_{kind}']}"
    return fields.get("channels", "").strip("()").replace(", ", "+") or fields.get("size", "")


def _image(fields: Fields) -> str:
    if "height" in fields and "width" in fields:
        return f"@{fields['height']}{TIMES}{fields['width']}"
    return f"@{fields['pixels']}" if "pixels" in fields else ""


def _groups(fields: Fields) -> str:
    return f"g{fields['groups']}" if fields.get("groups", "1") != "1" else ""


def _codes(fields: Fields) -> str:
    return "/".join(fields[name] for name in ("weight", "input", "code", "threshold") if name in fields)


_LABEL_PARTS = (_window, _channels, _groups, _image, _codes)
