"""What a run remembers of its photos, so that later it can say that another looks like none of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torchvision.transforms import v2

from helpers import checkpoint, novelty
from helpers.audit import Audit
from helpers.augment import val_transform
from helpers.decoded import val_pictures
from helpers.feeds import Feeds, ResidentFeed, val_batch_size
from helpers.finished import OWN_TRANSFORM
from helpers.progress import progress
from helpers.recipe import Recipe
from helpers.runs import Run
from helpers.split import Split
from helpers.stream import StreamFeed

MOST = 500  # training photos that are looked at: all give an AUROC of .8325, these .8307 (report/results/novelty.json)


def remember(
    model: nn.Module, audit: Audit, split: Split, feeds: Feeds, run: Run, cache: Path | None = None
) -> novelty.Vim:
    """Look at training photos without augmentation, and at the validation photos; keep the rule in the run's folder.

    Training photos are looked at through the transform of the validation feed. If that is not the recipe's, its words
    are kept too: ``finished.read_run`` then says that nobody can show the model a photo in the same way.

    Args:
        model: as it is used after training, ``views.as_tested``.
        cache: folder that keeps decoded photos from run to run; None keeps nothing.
    """
    transform = own_transform(feeds, run.recipe)
    if transform is None:
        (run.folder / OWN_TRANSFORM).unlink(missing_ok=True)
    else:
        checkpoint.write_atomically(run.folder / OWN_TRANSFORM, f"{transform}\n".encode())
    train = training_photos(audit, split, feeds.kind, run, cache, transform)
    parts = []
    for feed, words in ((train, "training photos"), (feeds.val, "validation photos")):
        parts.append(novelty.look_at_all(model, progress(feed.epoch(), len(feed), words), run.precision))
    rule = novelty.learn(*parts)
    novelty.save(rule, run.folder)
    return rule


def own_transform(feeds: Feeds, recipe: Recipe) -> v2.Transform | None:
    """The transform of the validation photos if it is not the recipe's: such photos are never resident."""
    if not isinstance(feeds.val, StreamFeed):
        return None
    transform = feeds.val.dataset.transform
    return None if repr(transform) == repr(val_transform(recipe)) else transform


def training_photos(
    audit: Audit, split: Split, kind: str, run: Run, cache: Path | None, transform: v2.Transform | None = None
) -> ResidentFeed | StreamFeed:
    """A feed of training photos as validation photos are seen; of many, ``MOST``, evenly chosen.

    Args:
        transform: of the validation photos, if not the recipe's; for ``kind`` stream.
    """
    rows = np.array(split.train)[np.linspace(0, len(split.train) - 1, min(MOST, len(split.train))).astype(int)].tolist()
    if kind == "stream":
        transform = transform or val_transform(run.recipe)
        return StreamFeed(audit.photos, tuple(rows), transform, run.recipe, run.device, shuffle=False)
    labels = torch.tensor([audit.photos.labels[i] for i in rows], device=run.device)
    pictures = val_pictures(audit, rows, run.recipe, cache).to(run.device)
    return ResidentFeed(pictures, labels, val_batch_size(run.device))
