"""The model: any torchvision classification network with a new head for our classes.

Read ``build`` (backbone, and the three steps together), ``head`` (the graded replacement), ``freezing`` (what training
leaves alone), ``weights`` (files and downloads), ``averaging`` (moving average of the weights, mirrored views).
"""

from helpers.models.averaging import with_tta
from helpers.models.build import build_backbone, build_model, count_parameters, original_head
from helpers.models.freezing import freeze
from helpers.models.head import describe_head, replace_head

__all__ = [
    "build_backbone",
    "build_model",
    "count_parameters",
    "describe_head",
    "freeze",
    "original_head",
    "replace_head",
    "with_tta",
]
