"""The versions of what the results of a search depend on."""

from importlib.metadata import version


def versions() -> dict[str, str]:
    """Of bitnas and of what trains and compiles, by the names of the distributions."""
    import nas

    return {"bitnas": nas.__version__, "torch": version("torch"), "apache-tvm": version("apache-tvm")}
