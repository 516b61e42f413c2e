"""Build the model: any torchvision classification network with a new head for our classes.

Read in this order: ``build`` (the three steps), ``head`` (the graded replacement; ``own_head``: a cell's),
``freezing`` (what training leaves alone), ``weights`` and ``imagenet`` (files and downloads), ``averaging`` (weight
averages, test-time augmentation), and what saves time: ``depthwise`` (a layer that is slow on CPUs) and ``folding``
(batch norms in evaluation).
"""

from helpers.models.averaging import with_tta
from helpers.models.build import build_backbone, count_parameters, original_head
from helpers.models.freezing import freeze
from helpers.models.head import describe_head, replace_head
