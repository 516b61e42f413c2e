"""torchvision's names of networks as papers write them, and the papers, as keys of ``report/references.bib``."""

from __future__ import annotations

import re

FAMILIES = (
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
    """``ResNet-18`` for ``resnet18``; what is not known here stays as it is."""
    return _found(backbone)[0]


def paper(backbone: str) -> str:
    """The key of its paper; of torchvision, if it is not known here."""
    return _found(backbone)[1]


def _found(backbone: str) -> tuple[str, str]:
    for pattern, name, key in FAMILIES:
        if match := re.fullmatch(pattern, backbone):
            return match.expand(name), key
    return backbone, "torchvision2016"
