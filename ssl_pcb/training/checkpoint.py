"""Weights on disk: safetensors for networks, weights-only loading for everything else, never a pickle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ssl_pcb.data.files import whole_stream
from ssl_pcb.errors import UserError
from ssl_pcb.models.backbones import Backbone
from ssl_pcb.models.downsizer import DownsizedBackbone
from ssl_pcb.training.bare import classifier_names, fit_channels
from ssl_pcb.training.lineage import IMAGES, TrainedOn

BACKBONE = "backbone.safetensors"
HEAD = "head.safetensors"
STATE = "state.pt"
FIRST_FOLD = "fold-1"


def checkpoint_bytes(objective: nn.Module, *, best: bool, averaged: bool = False) -> int:
    """The most that a training of ``objective`` has on disk at a time.

    That is the state for ``--resume`` (weights, two moments of what is trained, the weights of the best epoch if they
    are kept, the moving average if there is one) twice, because the next one is written beside the last, and the
    backbone.
    """
    weights: int = sum(tensor.numel() * tensor.element_size() for tensor in objective.state_dict().values())
    trained = sum(each.numel() * each.element_size() for each in objective.parameters() if each.requires_grad)
    return 2 * (weights * (1 + best + averaged) + 2 * trained) + weights


def save_backbone(backbone: Backbone | DownsizedBackbone, folder: Path, seen: TrainedOn) -> None:
    """Write ``folder``/backbone.safetensors with the record of what it has seen, whole or not at all."""
    tensors = {name: tensor.contiguous() for name, tensor in backbone.state_dict().items()}
    described = {
        "backbone": backbone.name,
        "channels": str(backbone.channels),
        "norm": backbone.norm,
        "antialias": str(backbone.antialias).lower(),
    }
    _save_tensors(tensors | seen.tensors(), folder / BACKBONE, described | seen.metadata())


def save_head(tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Write the parameters of a head to ``folder``/head.safetensors, whole or not at all."""
    _save_tensors({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / HEAD, None)


def weights_file(path: Path) -> Path:
    """The file that holds the backbone: ``path`` itself, or the one in the run folder ``path``.

    Raises:
        UserError: If there is none.
    """
    file = path / BACKBONE if path.is_dir() else path
    if not file.is_file():
        begun = path.is_dir() and (path / STATE).is_file()
        mend = "finish its run with --resume" if begun else "give a finished run folder, a weights file, or 'none'"
        if (path / FIRST_FOLD).is_dir():
            mend = f"it has a network a fold: name one of them, as {path / FIRST_FOLD}"
        raise UserError(f"{path}: holds no {BACKBONE}; {mend}")
    return file


def load_backbone(backbone: Backbone, path: Path) -> None:
    """Load weights into ``backbone``.

    A file of another program holds the bare timm network, usually with its classifier. It is taken to expect the scale
    of images that timm's weights of that network do, and its first layer is adapted to the number of channels.

    Args:
        backbone: A freshly built network.
        path: A run folder, a ``.safetensors`` file, or a ``.pt``/``.pth`` state dict without pickled objects.

    Raises:
        UserError: If the file is missing or none of these, or holds another network or one with another norm or other
            downsampling.
    """
    tensors, described = read_weights(weights_file(path))
    bare, ours = "backbone" not in described, f"{backbone.name} with {backbone.channels} channel(s)"
    if bare:
        tensors = fit_channels(backbone, tensors)
    else:
        _refuse_other_design(backbone, described, path)
    module = backbone.network if bare else backbone
    try:
        missing, unexpected = module.load_state_dict(tensors, strict=False)
    except RuntimeError as error:
        raise UserError(f"{path}: does not fit {ours} ({str(error).splitlines()[-1].strip()})") from None
    if missing:
        raise UserError(f"{path}: is not a checkpoint of {ours}: {len(missing)} tensors missing, first '{missing[0]}'")
    # A deeper network of the same family has all of a shallower one's tensors.
    aside = (*backbone.set_aside, *(f"network.{name}" for name in backbone.set_aside))
    extra = [name for name in unexpected if not name.startswith((*classifier_names(backbone), *aside))]
    if extra:
        raise UserError(
            f"{path}: is not a checkpoint of {ours}, which has no place for {len(extra)} tensors, first '{extra[0]}'"
        )
    if bare:
        backbone.scale_as_timm()


def _refuse_other_design(backbone: Backbone, described: Mapping[str, str], path: Path) -> None:
    """Refuse weights of a network that computes something else, as far as its file says."""
    ours = f"{backbone.name} with {backbone.channels} channel(s)"
    theirs = f"{described['backbone']} with {described.get('channels')} channel(s)"
    if described["backbone"] == backbone.name:
        channels = int(described.get("channels", 0))
        if channels == 2 * backbone.channels:
            raise UserError(f"{path}: its network sees golden images too; give --references, or another --checkpoint")
        if backbone.channels == 2 * channels:
            raise UserError(
                f"{path}: its network has learned from images alone; leave out --references, or change --checkpoint"
            )
    if theirs != ours:
        raise UserError(f"{path}: holds a {theirs}, but the config asks for {ours}; change --backbone or --checkpoint")
    had = {"norm": described.get("norm", "own"), "antialias": described.get("antialias", "false")}
    for key, asked in {"norm": backbone.norm, "antialias": str(backbone.antialias).lower()}.items():
        # Frozen batch norm is batch norm at its running statistics; no other two are alike.
        if had[key] != asked and (had[key], asked) != ("own", "frozen"):
            raise UserError(
                f"{path}: was trained with backbone.{key}={had[key]}, but the config asks for {asked}; "
                f"set backbone.{key}={had[key]} or change --checkpoint"
            )


def save_state(folder: Path, **parts: Any) -> None:
    """Write everything that ``--resume`` needs to ``folder``/state.pt, whole or not at all."""
    with whole_stream(folder / STATE) as opened:
        try:
            torch.save(parts, opened)  # type: ignore[arg-type]
        except RuntimeError as error:  # of closing the archive that Ctrl-C has left open
            if isinstance(error.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            raise


def load_state(folder: Path) -> dict[str, Any] | None:
    """What :func:`save_state` wrote, or ``None`` if it never did."""
    file = folder / STATE
    return _load_weights_only(file) if file.is_file() else None


def copy_of(module: nn.Module) -> dict[str, Tensor]:
    """The module's state on the CPU, detached from further training."""
    return {name: tensor.detach().cpu().clone() for name, tensor in module.state_dict().items()}


def channels_of(path: Path) -> int | None:
    """Input channels of the network in ``path``, a run folder or a weights file, if our own and so known.

    Raises:
        UserError: If there is none.
    """
    file = weights_file(path)
    described = read_weights(file)[1]
    return int(described["channels"]) if "backbone" in described else None


def _save_tensors(tensors: dict[str, Tensor], file: Path, metadata: dict[str, str] | None) -> None:
    # Given a path, safetensors makes a file that nobody else may read.
    with whole_stream(file) as opened:
        opened.write(save(tensors, metadata))


def read_weights(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """A network's tensors by name, and what a safetensors file says of them.

    Raises:
        UserError: If the file holds no table of tensors.
    """
    if file.suffix == ".safetensors":
        try:
            with safe_open(file, "pt") as opened:
                names = [name for name in opened.keys() if name != IMAGES]  # noqa: SIM118
                return {name: opened.get_tensor(name) for name in names}, opened.metadata() or {}
        except (SafetensorError, OSError) as error:
            raise UserError(f"{file}: not a safetensors file ({error})") from None
    tensors = _load_weights_only(file)
    for key in ("state_dict", "model"):  # the common wrappings of published weights
        tensors = tensors.get(key, tensors) if isinstance(tensors, dict) else tensors
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise UserError(f"{file}: holds no table of weights")
    return tensors, {}


def _load_weights_only(file: Path) -> Any:
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # arbitrary bytes raise nearly anything inside the unpickler
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(
            f"{file}: not a weights file that can be loaded without running code ({reason}); "
            "save it as safetensors or as a plain state dict"
        ) from None
