"""What a sampler does not go together with."""

from ssl_pcb.config.optim import TrainingConfig
from ssl_pcb.config.sampler import SamplerConfig


def refuse_odd_batch(sampler: SamplerConfig, training: TrainingConfig) -> None:
    """Refuse batches that balanced_batch cannot halve.

    Raises:
        ValueError: In one line.
    """
    if sampler.name == "balanced_batch" and training.batch_size % 2:
        raise ValueError(
            f"training.batch_size: {training.batch_size} has no halves for balanced_batch; set an even number"
        )
