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

import torch
import torchvision
from torch import Tensor, nn

SIZE, BATCH, BACKBONE = 128, 64, "resnet18"
"""Of pretraining."""
LARGE, LARGE_BATCH, LARGE_BACKBONE = 256, 16, "densenet201"
"""Of finetuning."""
WARM_UP, STEPS = 2, 6
WORKERS = 2

Steps = Iterator[Callable[[], object]]


def bare(precision: str, layout: str) -> tuple[int, Steps]:
    """SimCLR's network, head, loss and optimiser on views that are always there."""
    import timm
    from lightly.loss import NTXentLoss
    from lightly.models.modules.heads import SimCLRProjectionHead

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    memory = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    network = timm.create_model(BACKBONE, num_classes=0)
    model = nn.Sequential(network, SimCLRProjectionHead(network.num_features, 512, 128))
    model = model.to(device, memory_format=memory)  # type: ignore[call-overload]
    loss, optimizer = NTXentLoss(0.2), torch.optim.AdamW(model.parameters(), fused=True)
    views = torch.rand(2 * BATCH, 3, SIZE, SIZE, device=device).to(memory_format=memory)

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            first, second = model(views).chunk(2)
        loss(first.float(), second.float()).backward()
        optimizer.step()
        optimizer.zero_grad()

    return BATCH, iter(lambda: step, None)


def lightly(folder: str) -> tuple[int, Steps]:
    """SimCLR as lightly's documentation has it (docs.lightly.ai, examples, SimCLR), at our size, batch and workers."""
    from lightly.data import LightlyDataset
    from lightly.loss import NTXentLoss
    from lightly.models.modules import SimCLRProjectionHead
    from lightly.transforms.simclr_transform import SimCLRTransform

    backbone = nn.Sequential(*list(torchvision.models.resnet18().children())[:-1])
    head = SimCLRProjectionHead(512, 512, 128)
    dataset = LightlyDataset(folder, transform=SimCLRTransform(input_size=SIZE))
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=BATCH, shuffle=True, drop_last=True, num_workers=WORKERS, persistent_workers=True
    )
    criterion = NTXentLoss()
    optimizer = torch.optim.SGD([*backbone.parameters(), *head.parameters()], lr=0.06)

    def step(views: list[Tensor]) -> None:
        first, second = (head(backbone(view).flatten(start_dim=1)) for view in views[:2])
        criterion(first, second).backward()
        optimizer.step()
        optimizer.zero_grad()

    return BATCH, _over(loader, lambda batch: step(batch[0]))


def image_folder(folder: str) -> tuple[int, Steps]:
    """The loop of many tutorials: ImageFolder, resize, ToTensor, fp32."""
    import timm
    from torchvision import transforms

    dataset = torchvision.datasets.ImageFolder(
        folder, transforms.Compose([transforms.Resize((LARGE, LARGE)), transforms.ToTensor()])
    )
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=LARGE_BATCH, shuffle=True, drop_last=True, num_workers=WORKERS, persistent_workers=True
    )
    model = timm.create_model(LARGE_BACKBONE, num_classes=2)
    optimizer, loss = torch.optim.AdamW(model.parameters()), nn.CrossEntropyLoss()

    def step(images: Tensor, labels: Tensor) -> None:
        optimizer.zero_grad()
        loss(model(images), labels).backward()
        optimizer.step()

    return LARGE_BATCH, _over(loader, lambda batch: step(*batch))


def _over(loader: object, step: Callable[..., None]) -> Steps:
    """Steps that include waiting for their batch; epochs follow each other."""

    def batches() -> Iterator[object]:
        while True:
            yield from loader  # type: ignore[misc]

    found = batches()
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
