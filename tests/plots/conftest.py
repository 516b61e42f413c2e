"""Predictions for the figures."""

import pytest
import torch

from helpers.evaluation.predictions import StoredPredictions


@pytest.fixture
def stored():
    """Six photos, the fourth a mistake; no daisy among them."""
    probabilities = torch.tensor(
        [[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.99, 0.01, 0.0], [0.8, 0.15, 0.05], [0.0, 1.0, 0.0], [0.5, 0.3, 0.2]]
    )
    names = tuple(f"x/{i}.jpg" for i in range(6))
    return StoredPredictions(
        names, ("rose", "tulip", "daisy"), probabilities.double(), torch.tensor([0, 1, 0, 1, 1, 0])
    )
