"""The service: command line, data sets and training, the trial ledger, samplers, executors, export."""


def __getattr__(name: str) -> str:
    """``nas.__version__``, looked up only when asked for."""
    if name != "__version__":
        raise AttributeError(f"module 'nas' has no attribute '{name}'")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("bitnas")
    except PackageNotFoundError:
        return "unknown (bitnas runs from a folder where it is not installed)"
