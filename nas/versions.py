"""The versions of what the results of a search depend on."""

from importlib.metadata import PackageNotFoundError, version


def own_version() -> str:
    """Of bitnas."""
    try:
        return version("bitnas")
    except PackageNotFoundError:
        return "unknown (bitnas runs from a folder where it is not installed)"


def versions() -> dict[str, str]:
    """Of bitnas and of what trains and compiles, by the names of the distributions."""
    return {"bitnas": own_version(), "torch": version("torch"), "apache-tvm": version("apache-tvm")}
