"""ssl-pcb: tell defective from non-defective printed circuit boards by camera."""

__version__ = "0.1.0"
