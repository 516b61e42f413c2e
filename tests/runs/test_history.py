"""The history of a training."""

import pytest

from helpers.runs.history import Epoch, History


def test_the_history_knows_its_best_epoch_and_its_last_five():
    def row(epoch, accuracy):
        return Epoch(epoch, 0.1, 1.0, 0.5, 1.0, accuracy)

    history = History([row(i, a) for i, a in enumerate([0.1, 0.9, 0.9, 0.6, 0.7, 0.8, 0.5])])
    assert history.best.epoch == 1
    assert history.last_five_mean == pytest.approx((0.9 + 0.6 + 0.7 + 0.8 + 0.5) / 5)
