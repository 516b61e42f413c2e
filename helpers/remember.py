"""What a run remembers of its photos, so that later it can say that another looks like none of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from helpers import novelty
from helpers.audit import Audit
from helpers.augment import val_transform
from helpers.decoded import val_pictures
from helpers.feeds import Feeds, ResidentFeed, val_batch_size
from helpers.progress import progress
from helpers.runs import Run
from helpers.split import Split
from helpers.stream import StreamFeed

MOST = 500  # training photos that are looked at: all give an AUROC of .832 for .831 (report/results/novelty.json)


def remember(
    model: nn.Module, audit: Audit, split: Split, feeds: Feeds, run: Run, cache: Path | None = None
) -> novelty.Vim:
    """Look at training photos without augmentation, and at the validation photos; keep the rule in the run's folder.

    Args:
        model: as it is used after training, ``views.as_tested``.
        cache: folder that keeps decoded photos from run to run; None keeps nothing.
    """
    train = training_photos(audit, split, feeds.kind, run, cache)
    parts = []
    for feed, words in ((train, "training photos"), (feeds.val, "validation photos")):
        parts.append(novelty.look_at_all(model, progress(feed.epoch(), len(feed), words), run.precision))
    rule = novelty.learn(*parts)
    novelty.save(rule, run.folder)
    return rule


def training_photos(audit: Audit, split: Split, kind: str, run: Run, cache: Path | None) -> ResidentFeed | StreamFeed:
    """A feed of training photos as validation photos are seen; of many, ``MOST``, evenly chosen."""
    rows = np.array(split.train)[np.linspace(0, len(split.train) - 1, min(MOST, len(split.train))).astype(int)].tolist()
    if kind == "stream":
        return StreamFeed(audit.photos, tuple(rows), val_transform(run.recipe), run.recipe, run.device, shuffle=False)
    labels = torch.tensor([audit.photos.labels[i] for i in rows], device=run.device)
    pictures = val_pictures(audit, rows, run.recipe, cache).to(run.device)
    return ResidentFeed(pictures, labels, val_batch_size(run.device))
