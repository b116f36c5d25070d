"""What scripts/bench_train.py measures, each in a process of its own: prints its images a second as JSON.

python scripts/bench_contenders.py bare PRECISION LAYOUT
python scripts/bench_contenders.py lightly FOLDER
python scripts/bench_contenders.py image-folder FOLDER
python scripts/bench_contenders.py lightly-train FOLDER

Ours is not here: it is the command line that everybody uses.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, RandomSampler

SIZE, BATCH, BACKBONE = 128, 64, "resnet18"
"""Of pretraining."""
LARGE, LARGE_BATCH, LARGE_BACKBONE = 256, 16, "densenet201"
"""Of finetuning."""
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
WARM_UP, STEPS = 2, 200 if DEVICE.type == "cuda" else 6
WORKERS = 2

Steps = Iterator[Callable[[], object]]


def bare(precision: str, layout: str) -> tuple[int, Steps]:
    """SimCLR's network, head, loss and optimiser on views that are always there."""
    import timm
    from lightly.loss import NTXentLoss
    from lightly.models.modules.heads import SimCLRProjectionHead

    memory = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    network = timm.create_model(BACKBONE, num_classes=0)
    model = nn.Sequential(network, SimCLRProjectionHead(network.num_features, 512, 128))
    model = model.to(DEVICE, memory_format=memory)  # type: ignore[call-overload]
    loss, optimizer = NTXentLoss(0.2), torch.optim.AdamW(model.parameters(), fused=True)
    views = torch.rand(2 * BATCH, 3, SIZE, SIZE, device=DEVICE).to(memory_format=memory)

    def step() -> None:
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=precision == "bf16"):
            first, second = model(views).chunk(2)
        loss(first.float(), second.float()).backward()
        optimizer.step()
        optimizer.zero_grad()

    return BATCH, iter(lambda: step, None)


def lightly(folder: str) -> tuple[int, Steps]:
    """SimCLR as lightly's documentation has it (docs.lightly.ai, examples, SimCLR), at our size, batch and workers.

    The blur is the transform's own; the example turns it off for its pictures of 32 px.
    """
    from lightly.data import LightlyDataset
    from lightly.loss import NTXentLoss
    from lightly.models.modules import SimCLRProjectionHead
    from lightly.transforms.simclr_transform import SimCLRTransform

    backbone = nn.Sequential(*list(torchvision.models.resnet18().children())[:-1])
    head = SimCLRProjectionHead(512, 512, 128)
    dataset = LightlyDataset(folder, transform=SimCLRTransform(input_size=SIZE))
    model = nn.Sequential(backbone, nn.Flatten(), head).to(DEVICE)
    criterion = NTXentLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.06)

    def step(views: list[Tensor]) -> None:
        first, second = (model(view.to(DEVICE)) for view in views[:2])
        criterion(first, second).backward()
        optimizer.step()
        optimizer.zero_grad()

    return BATCH, _over(_endless(dataset, BATCH), lambda batch: step(batch[0]))


def image_folder(folder: str) -> tuple[int, Steps]:
    """The loop of many tutorials: ImageFolder, resize, ToTensor, fp32."""
    import timm
    from torchvision import transforms

    dataset = torchvision.datasets.ImageFolder(
        folder, transforms.Compose([transforms.Resize((LARGE, LARGE)), transforms.ToTensor()])
    )
    model = timm.create_model(LARGE_BACKBONE, num_classes=2).to(DEVICE)
    optimizer, loss = torch.optim.AdamW(model.parameters()), nn.CrossEntropyLoss()

    def step(images: Tensor, labels: Tensor) -> None:
        optimizer.zero_grad()
        loss(model(images.to(DEVICE)), labels.to(DEVICE)).backward()
        optimizer.step()

    return LARGE_BATCH, _over(_endless(dataset, LARGE_BATCH), lambda batch: step(*batch))


def _endless(dataset: Dataset[Any], batch_size: int) -> Iterator[Any]:
    """Batches without end: at the end of an epoch workers would be idle, and leave their cores to the steps timed."""
    sampler = RandomSampler(dataset, replacement=True, num_samples=10**9)  # type: ignore[arg-type]
    return iter(DataLoader(dataset, batch_size=batch_size, sampler=sampler, num_workers=WORKERS))


def _over(found: Iterator[Any], step: Callable[..., None]) -> Steps:
    """Steps that include waiting for their batch."""
    return iter(lambda: lambda: step(next(found)), None)


def lightly_train(folder: str) -> float:
    """Images a second of lightly-train's SimCLR with its own settings, but for size, batch and workers."""
    os.environ["LIGHTLY_TRAIN_EVENTS_DISABLED"] = "1"
    import lightly_train

    model = torchvision.models.resnet18()
    model.conv1.register_forward_pre_hook(_note_time)
    images = len(os.listdir(folder))
    with tempfile.TemporaryDirectory() as out:
        lightly_train.pretrain(
            out=f"{out}/run", data=folder, model=model, method="simclr", epochs=1, batch_size=BATCH,
            num_workers=WORKERS, transform_args={"image_size": (SIZE, SIZE)},
        )  # fmt: skip
    steps = images // BATCH
    passes = len(BEGAN) // steps  # of the network in a step
    return BATCH * (steps - 1 - WARM_UP) / (BEGAN[passes * (steps - 1)] - BEGAN[passes * WARM_UP])


BEGAN: list[float] = []
"""When each forward pass of lightly-train's network began."""


def _note_time(*_: object) -> None:  # lightly-train saves the network with its hooks, so no local function
    BEGAN.append(time.perf_counter())


def main() -> None:
    name, *arguments = sys.argv[1:]
    if name == "lightly-train":
        print(json.dumps({"images_per_second": lightly_train(*arguments)}))
        return
    batch, steps = {"bare": bare, "lightly": lightly, "image-folder": image_folder}[name](*arguments)
    for step in islice(steps, WARM_UP):
        step()
    _wait()
    began = time.perf_counter()
    for step in islice(steps, STEPS):
        step()
    _wait()
    print(json.dumps({"images_per_second": batch * STEPS / (time.perf_counter() - began)}))


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
