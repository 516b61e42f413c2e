"""Train the model: loss, optimizer, schedule, and the loop.

Read in this order: ``optimization`` (the graded loss and optimizer), ``loop`` (the graded steps), ``setup`` (what is
trained), ``changes`` (made by hand in a cell), ``targets`` and ``linear_probe`` (MixUp, distillation, frozen
features), ``monitor``, ``checkpointing`` and ``out_of_memory`` (how a run survives), and ``train`` (a whole run, on one
process or several).
"""

from helpers.training.loop import fit, train_one_epoch
from helpers.training.optimization import class_weights, learning_rates, make_loss, make_optimizer, make_schedule
from helpers.training.setup import assemble
