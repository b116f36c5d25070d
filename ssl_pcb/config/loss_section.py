"""What every config of a supervised loss says of it."""

from typing import ClassVar

from ssl_pcb.config.base import Section


class LossSection(Section):
    """Keys of a loss.

    Attributes:
        one_class: Whether it asks which one class a sample is of, so that pictures of two labels are refused.
    """

    one_class: ClassVar[bool] = False

    @property
    def by_counts(self) -> bool:
        """Whether it hangs on how many samples of each class are shown, so that even classes leave it idle."""
        return False
