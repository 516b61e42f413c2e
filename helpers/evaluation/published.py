"""What papers say: the published result, the networks' names in print, and their keys in ``report/references.bib``."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from helpers.common.text import align, duration
from helpers.evaluation.statistics import with_interval

FLOWERS = frozenset({"daisy", "dandelion", "rose", "sunflower", "tulip"})  # the assignment's classes
PAPER = {  # the published log, in the names of results.json; its machine is not named
    "backbone": "resnet18",
    "photos": 2848,
    "val_photos": 570,
    "epochs": 25,
    "first_train_loss": 0.7942,
    "first_train_accuracy": 0.6888,
    "first_val_loss": 0.2127,
    "first_val_accuracy": 0.9333,
    "best_epoch": 17,
    "best_val_correct": 550,
    "best_val_accuracy": 0.964912,
    "last_train_accuracy": 0.9908,
    "last_val_accuracy": 0.9614,
    "last_val_loss": 0.1008,
    "training_seconds": 13 * 60 + 33,
}
PAPER_RIPPLES = (8, 13)  # first and last epoch in which it discusses ripples of the validation loss
PAPER_ACCURACY, PAPER_PHOTOS = PAPER["best_val_accuracy"], PAPER["photos"]
FAMILIES = (  # torchvision's names as a pattern, the name in print, the key
    (r"resnet(\d+)", r"ResNet-\1", "he2016"),
    (r"resnext(\d+)_.*", r"ResNeXt-\1", "xie2017"),
    (r"mobilenet_v2", "MobileNetV2", "sandler2018"),
    (r"mobilenet_v3_(\w+)", r"MobileNetV3-\1", "howard2019"),
    (r"squeezenet(\d)_(\d)", r"SqueezeNet \1.\2", "iandola2016"),
    (r"alexnet", "AlexNet", "krizhevsky2012"),
    (r"vgg(\d+)(?:_bn)?", r"VGG-\1", "simonyan2014"),
    (r"densenet(\d+)", r"DenseNet-\1", "huang2017"),
    (r"googlenet", "GoogLeNet", "szegedy2015"),
    (r"efficientnet_b(\d)", r"EfficientNet-B\1", "tan2019"),
    (r"convnext_(\w+)", r"ConvNeXt-\1", "liu2022"),
    (r"vit_([bl])_(\d+)", r"ViT-\1/\2", "dosovitskiy2021"),
)


def written_name(backbone: str) -> str:
    """Return ``ResNet-18`` for ``resnet18``; an unknown name stays as it is."""
    return name_and_paper(backbone)[0]


def name_and_paper(backbone: str) -> tuple[str, str]:
    """Return the network's name in print and the key of its paper; torchvision's if the network is unknown."""
    for pattern, name, key in FAMILIES:
        if match := re.fullmatch(pattern, backbone):
            return match.expand(name), key
    return backbone, "torchvision2016"


def species(classes: Iterable[str]) -> frozenset[str]:
    """Return the classes in lower case and the singular.

    TensorFlow's flower_photos has ``roses``, ``sunflowers`` and ``tulips``, the assignment's folder ``rose`` and so on.
    """
    return frozenset(name.lower().removesuffix("s") for name in classes)


def are_the_flowers(classes: Sequence[str]) -> bool:
    """Tell whether the classes are the assignment's five flowers, each of them once."""
    return species(classes) == FLOWERS and len(classes) == len(FLOWERS)


def paper_table(results: dict[str, Any]) -> str:
    """Return the run's numbers beside the paper's, as aligned text."""
    ours, theirs = result_rows(results), result_rows(PAPER)
    return align([("", "the paper", "this run"), *((name, theirs.get(name, "not given"), ours[name]) for name in ours)])


def result_rows(r: dict[str, Any]) -> dict[str, str]:
    """Put the numbers of ``results.json``, or the paper's, into words; validation accuracies with 95 % intervals."""
    n = r["val_photos"]
    test = {"test accuracy": with_interval(r["test"]["accuracy"], r["test"]["photos"])} if "test" in r else {}
    return {
        "network": written_name(r["backbone"]),
        "photos": f"{r['photos']:,}",
        "validation photos": f"{n:,}",
        "epochs": f"{r['epochs']}",
        "training time": duration(r["training_seconds"]),
        "first epoch: train loss": f"{r['first_train_loss']:.4f}",
        "first epoch: train accuracy": f"{r['first_train_accuracy']:.2%}",
        "first epoch: val. loss": f"{r['first_val_loss']:.4f}",
        "first epoch: val. accuracy": with_interval(r["first_val_accuracy"], n),
        "best epoch": f"{r['best_epoch']}",
        "best epoch: val. accuracy": with_interval(r["best_val_accuracy"], n),
        "last epoch: train accuracy": f"{r['last_train_accuracy']:.2%}",
        "last epoch: val. accuracy": with_interval(r["last_val_accuracy"], n),
        "last epoch: val. loss": f"{r['last_val_loss']:.4f}",
        "mean of last five epochs": with_interval(r["last_five_mean"], n) if "last_five_mean" in r else "not given",
        **test,
    }
