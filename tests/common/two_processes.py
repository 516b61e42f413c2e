"""Compare steps that two processes share with those of one, print JSON, and then run a command of the helpers."""

import json
import sys

import torch
import torch.distributed as dist
from torch import nn
from torchvision.models import resnet18

from helpers import commands
from helpers.common import distributed
from helpers.common.errors import ParameterError
from helpers.data.loading.loaders import InMemoryLoader, make_loaders
from helpers.data.split import Split
from helpers.evaluation.predictions import predict
from helpers.models import freeze
from helpers.recipe import Recipe
from helpers.training.loop import train_one_epoch


def build():
    torch.manual_seed(0)
    return resnet18(num_classes=5)


def gradients(model, images, labels):
    loss = nn.CrossEntropyLoss()(model(images), labels)
    loss.backward()
    return loss.item()


def compare(photos):
    """Return the largest difference of a gradient, relative to its norm, and of the running statistics."""
    torch.manual_seed(1)
    images, labels = torch.randn(photos, 3, 64, 64), torch.randint(0, 5, (photos,))
    alone, shared = build(), build()
    gradients(alone, images, labels)
    share = distributed.shares(photos, photos)[0]
    gradients(distributed.wrap_ddp(shared), images[share], labels[share])
    pairs = zip(alone.parameters(), shared.parameters(), strict=True)
    gradient = max(float((p.grad - q.grad).norm() / p.grad.norm()) for p, q in pairs)
    statistics = max(float((p - q).abs().max()) for p, q in zip(alone.buffers(), shared.buffers(), strict=True))
    return gradient, statistics


def epoch_of(photos, batch_size):
    """Return loss and accuracy of one epoch, and the predictions, over all processes."""
    torch.manual_seed(2)
    feed = InMemoryLoader(
        torch.randint(0, 256, (photos, 3, 64, 64), dtype=torch.uint8), torch.arange(photos) % 5, batch_size
    )
    model = build()
    before = predict(model.eval(), feed, torch.float32)
    network = distributed.wrap_ddp(model)
    frozen = torch.optim.SGD(model.parameters(), lr=0.0)
    loss, accuracy = train_one_epoch(network, feed.epoch(), nn.CrossEntropyLoss(), frozen)
    return loss, accuracy, before.logits.sum(1).tolist(), before.labels.tolist()


def changes_with(**frozen):
    """Return the names of the tensors that a shared step changes in a tiny, partly frozen model."""
    torch.manual_seed(3)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4))
    model.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)])
    freeze(model, **frozen)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    batches = [(torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 1, 0]))]
    train_one_epoch(distributed.wrap_ddp(model), batches, nn.CrossEntropyLoss(), optimizer)
    return [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]


def refusal():
    """Return the message that refuses more processes than a batch has photos."""
    try:
        make_loaders(None, Split((0, 1, 2), (3,)), Recipe(batch_size=1), torch.device("cpu"))
    except ParameterError as error:
        return str(error)


def main():
    torch.set_num_threads(1)
    alone = epoch_of(17, 8)  # the last batch has one photo: the second process none
    dist.init_process_group("gloo")
    together = epoch_of(17, 8)
    findings = {
        "processes": distributed.world_size(),
        "even": compare(12),
        "ragged": compare(7),
        "lonely": compare(3),
        "alone": alone,
        "together": together,
        "nothing frozen": changes_with(),
        "norms frozen": changes_with(norms=True),
        "half frozen": changes_with(fraction=0.5),
        "refusal": refusal(),
        "agreed": distributed.broadcast_object(lambda: f"said by {distributed.rank()}"),
    }
    everyone = [None] * distributed.world_size()
    dist.all_gather_object(everyone, findings["agreed"])
    findings["agreed"] = everyone
    if distributed.is_main():
        print(json.dumps(findings), flush=True)
    return commands.main()


if __name__ == "__main__":
    sys.exit(main())
