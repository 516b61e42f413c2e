"""The literal baseline: the assignment's template, filled in as it usually is.

ImageFolder, PIL transforms one photo at a time, a DataLoader with two workers, float32, batch 32, default memory format
and allocator. It imports nothing from this project, so that nothing of ours makes it faster or slower. Prints one JSON
line per epoch.

    python benchmarks/contenders/baseline.py FOLDER --backbone mobilenet_v2 --weights weights.pth --epochs 25

FOLDER holds train/<class>/*.jpg and val/<class>/*.jpg.
"""

import argparse
import json
import resource
import time
from pathlib import Path

import torch
from torch import nn, optim
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader
from torchvision import datasets, models, transforms


def data_transforms():
    """Return the published transforms, as torchvision's own on PIL images."""
    normalize = transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    return {
        "train": transforms.Compose(
            [
                transforms.RandomRotation(30),
                transforms.CenterCrop(448),
                transforms.RandomHorizontalFlip(),
                transforms.RandomVerticalFlip(),
                transforms.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.1),
                transforms.ToTensor(),
                transforms.Resize(224, antialias=True),
                normalize,
            ]
        ),
        "val": transforms.Compose(
            [transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(), normalize]
        ),
    }


def build_loaders(folder):
    """Return the DataLoaders of both subsets."""
    image_datasets = {
        part: datasets.ImageFolder(folder / part, transform) for part, transform in data_transforms().items()
    }
    return {
        part: DataLoader(image_datasets[part], batch_size=32, shuffle=part == "train", num_workers=2)
        for part in ("train", "val")
    }


def build_model(backbone, weights, classes):
    """Return a torchvision network with a new head."""
    model = models.get_model(backbone, weights=None)
    if weights:
        state = {name: value.float() for name, value in torch.load(weights, weights_only=True).items()}
        own = model.state_dict()
        model.load_state_dict({k: v for k, v in state.items() if own[k].shape == v.shape}, strict=False)
    if hasattr(model, "fc"):
        model.fc = nn.Sequential(nn.Dropout(0.5), nn.Linear(model.fc.in_features, classes))
    else:
        model.classifier = nn.Sequential(nn.Dropout(0.5), nn.Linear(model.classifier[-1].in_features, classes))
    return model


def run_phase(model, loader, criterion, optimizer, device):
    """Run one epoch, training if there is an optimizer. Returns loss and accuracy over the photos."""
    training = optimizer is not None
    model.train(training)
    running_loss, running_corrects, photos = 0.0, 0, 0
    for inputs, labels in loader:
        inputs, labels = inputs.to(device), labels.to(device)
        if training:
            optimizer.zero_grad()
        with torch.set_grad_enabled(training):
            outputs = model(inputs)
            loss = criterion(outputs, labels)
            if training:
                loss.backward()
                optimizer.step()
        running_loss += loss.item() * inputs.size(0)
        running_corrects += (outputs.argmax(1) == labels).sum().item()
        photos += inputs.size(0)
    return running_loss / photos, running_corrects / photos


def cpu_seconds():
    """Return the user and system time of this process and its ended children (the DataLoader's workers)."""
    parts = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime for part in parts), sum(part.ru_stime for part in parts)


def timed(function, *arguments):
    """Return a call's result and its seconds: wall, user, system."""
    wall, (user, system) = time.perf_counter(), cpu_seconds()
    result = function(*arguments)
    user_now, system_now = cpu_seconds()
    return result, time.perf_counter() - wall, user_now - user, system_now - system


def main():
    """Train and validate, and print a line per epoch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--weights", default="")
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    loaders = build_loaders(options.folder)
    model = build_model(options.backbone, options.weights, len(loaders["train"].dataset.classes)).to(device)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, nesterov=True, weight_decay=5e-4)
    scheduler = lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)
    for epoch in range(options.epochs):
        (loss, accuracy), wall, user, system = timed(run_phase, model, loaders["train"], criterion, optimizer, device)
        row = {"epoch": epoch, "photos": len(loaders["train"].dataset), "train_seconds": wall}
        row |= {"train_cpu_seconds": user + system, "train_system_seconds": system}
        row |= {"train_loss": loss, "train_accuracy": accuracy}
        (loss, accuracy), wall, _, _ = timed(run_phase, model, loaders["val"], criterion, None, device)
        row |= {"val_loss": loss, "val_accuracy": accuracy, "val_seconds": wall}
        row["val_photos"] = len(loaders["val"].dataset)
        scheduler.step()
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
