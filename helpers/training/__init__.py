"""Training: loss, optimizer, schedule, and the loop.

Read ``optimization`` (the graded loss and optimizer), ``loop`` (the graded steps), ``setup`` (what is trained),
``linear_probe`` and ``targets`` (features, MixUp, distillation), then ``monitor`` and ``checkpointing`` (resuming).
"""

from helpers.training.loop import FitResult, fit, train_one_epoch
from helpers.training.optimization import learning_rates, make_loss, make_optimizer, make_schedule
from helpers.training.setup import Training, assemble

__all__ = [
    "FitResult",
    "Training",
    "assemble",
    "fit",
    "learning_rates",
    "make_loss",
    "make_optimizer",
    "make_schedule",
    "train_one_epoch",
]
