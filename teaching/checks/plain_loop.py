"""The course's own training loop around one block, for programs that cannot be run."""

import textwrap
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torchvision import datasets
from torchvision.models import resnet18

from .blocks import Script
from .program import FEW

PLAIN_LOOP = """
for epoch in range(num_epochs):
    for phase in ["train", "val"]:
        model.train(phase == "train")
        running_loss, running_corrects = 0.0, 0
        for inputs, labels in dataloaders[phase]:
            images = data = inputs
            targets = target = labels
            {zero}
            with torch.set_grad_enabled(phase == "train"):
                outputs = output = logits = model(inputs)
                preds = outputs.argmax(1)
                loss = criterion(outputs, labels)
                {when_training}
{backward}
            running_loss += loss.item() * inputs.size(0)
            running_corrects += torch.sum(preds == labels.data)
        epoch_loss = val_loss = running_loss / dataset_sizes[phase]
        epoch_acc = val_acc = running_corrects.double() / dataset_sizes[phase]
        {when_best}
{save}
"""


def world(to_tensor: Callable) -> dict[str, Any]:
    """Return the names that the loop uses."""
    model = resnet18(num_classes=5)
    photos = {part: datasets.ImageFolder(part, to_tensor) for part in ("train", "val")}
    loaders = {part: torch.utils.data.DataLoader(each, shuffle=part == "train") for part, each in photos.items()}
    names = {
        "model": model,
        "net": model,
        "criterion": nn.CrossEntropyLoss(),
        "dataloaders": loaders,
        "num_epochs": FEW,
    }
    names |= {"loss_fn": names["criterion"], "train_loader": loaders["train"], "val_loader": loaders["val"]}
    names |= {"optimizer": torch.optim.SGD(model.parameters(), lr=0.001), "best_acc": 0.0, "best_model_wts": None}
    names |= {"dataset_sizes": {part: len(each) for part, each in photos.items()}, "save_dir": "work_dir"}
    return names | {
        "SAVE_DIR": "work_dir",
        "best_loss": float("inf"),
        "best_val_acc": 0.0,
        "save_path": "best_model.pth",
    }


def program(script: Script, section: int) -> str:
    """Write one block into the course's own training loop; what the block lacks and the program has is added."""
    code = textwrap.dedent(script.code(section))
    text = script.text
    needs_zero = section == 5 and "zero_grad" not in code and "zero_grad" in text
    compares = "best" in code and any(word in code for word in ("if ", ">", "max("))
    best = 'if phase == "val" and epoch_acc > best_acc:'
    if compares:
        best = 'if phase == "val":'
    return PLAIN_LOOP.format(
        zero="optimizer.zero_grad()" if needs_zero else "pass",
        when_training="if True:" if "phase" in code and section == 5 else 'if phase == "train":',
        backward=textwrap.indent(code if section == 5 else "pass", " " * 20),
        when_best=best,
        save=textwrap.indent(
            ("" if compares or section == 5 else "best_acc = epoch_acc\n") + (code if section == 6 else "pass"),
            " " * 12,
        ),
    )
