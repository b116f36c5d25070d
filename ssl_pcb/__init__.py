"""ssl-pcb: tell defective from non-defective printed circuit boards by camera."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssl_pcb.stages.opening import load_classifier

__all__ = ["__version__", "load_classifier"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """``load_classifier``, imported when it is asked for: the package itself loads at once."""
    if name == "load_classifier":
        from ssl_pcb.stages.opening import load_classifier

        return load_classifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
