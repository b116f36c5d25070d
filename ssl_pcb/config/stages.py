"""The stages, and the complete config of each: what a YAML file in ``configs/`` holds."""

from ssl_pcb.config.pretraining import PretrainConfig
from ssl_pcb.config.probing import LinearEvalConfig
from ssl_pcb.config.supervised import CrossvalConfig, FinetuneConfig

StageConfig = PretrainConfig | LinearEvalConfig | FinetuneConfig | CrossvalConfig

STAGES: dict[str, type[StageConfig]] = {
    "pretrain": PretrainConfig,
    "linear-eval": LinearEvalConfig,
    "finetune": FinetuneConfig,
    "crossval": CrossvalConfig,
}
