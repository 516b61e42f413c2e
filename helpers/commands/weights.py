"""Fetch a backbone's ImageNet weights into torchvision's cache, so that later runs need no network."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("backbone", nargs="?", default="mobilenet_v2", help="default: mobilenet_v2")


def run(options: argparse.Namespace) -> int:
    """Fetch the weights, and print where they are. Returns the exit code."""
    from helpers.models.build import check_backbone  # torch: takes seconds to import
    from helpers.models.imagenet import fetch_imagenet_weights

    check_backbone(options.backbone)
    print(f"ImageNet weights of {options.backbone}: {fetch_imagenet_weights(options.backbone)}")
    return 0
