"""The report's method, second half: loss, optimizer, schedule, saving."""

from __future__ import annotations

from helpers.common.text import small
from helpers.recipe import Recipe
from helpers.report.facts import Facts
from helpers.report.markup import Block, Pieces, equation, heading, paragraph, written

OPTIMIZERS = {"adam": "Adam [kingma2015]", "adamw": "AdamW [loshchilov2019]", "rmsprop": "RMSProp [tieleman2012]"}


def optimization(facts: Facts) -> list[Block]:
    """How the network was trained, block by block."""
    return [
        heading("Loss and optimizer"),
        *_loss(facts.recipe),
        *_optimizer(facts.recipe),
        heading("Schedule, saving, evaluation"),
        paragraph(_schedule(facts), *_averages(facts.recipe), _saving(facts)),
    ]


def _loss(r: Recipe) -> list[Block]:
    smoothed = written(
        " The truth is smoothed, for the validation loss too: a share of {share:g} of it is spread over all classes "
        "[szegedy2016].",
        share=r.label_smoothing,
    )
    teacher = written(
        " A share of {share:g} of the target is the softened answer of an earlier run (distillation [hinton2015]).",
        share=r.teacher_weight,
    )
    return [
        paragraph(written("The loss is cross-entropy, the mean over the {n} photos of a batch $B$,", n=r.batch_size)),
        equation("cross-entropy"),
        paragraph(
            [
                *written("where $f$ is the network, $theta$ its weights and $y$ the true class of photo $x$."),
                *(smoothed if r.label_smoothing else []),
                *(teacher if r.teacher else []),
            ]
        ),
    ]


def _optimizer(r: Recipe) -> list[Block]:
    settings = {"momentum": r.momentum, "decay": r.weight_decay, "lr": r.lr}
    if r.optimizer != "sgd":
        name = OPTIMIZERS[r.optimizer]
        text = f"It is minimized by {name} with learning rate {{lr:g}}, first coefficient {{momentum:g}}"
        return [paragraph(written(text + " and weight decay {decay:g}.", **settings), *_rates(r))]
    kind = "nesterov" if r.nesterov else "momentum" if r.momentum else "plain"
    named = {
        "nesterov": "stochastic gradient descent with Nesterov's momentum [nesterov1983] [sutskever2013],",
        "momentum": "stochastic gradient descent with momentum [sutskever2013],",
        "plain": "stochastic gradient descent,",
    }
    where = "where the weight decay is $lambda$ = {decay:g}, "
    where += "" if kind == "plain" else "the momentum $mu$ = {momentum:g}, "
    return [
        paragraph(written(f"It is minimized by {named[kind]}")),
        equation(kind),
        paragraph(written(where + "and the learning rate $eta$ starts at {lr:g}.", **settings), *_rates(r)),
    ]


def _rates(r: Recipe) -> list[Pieces]:
    """Where not all weights are treated alike."""
    return [written("The head has a learning rate of its own, {value:g}.", value=r.head_lr)] if r.head_lr else []


def _schedule(facts: Facts) -> Pieces:
    r, rates = facts.recipe, facts.run.history.column("learning_rate")
    how = {
        "step": "is multiplied by {gamma:g} every {step} epochs",
        "cosine": "falls along half a cosine [loshchilov2017]",
        "onecycle": "rises and falls in one cycle [smith2019]",
    }[r.schedule]
    warmup = " after rising over the first {warmup} [goyal2017]" if r.schedule == "cosine" and r.warmup_epochs else ""
    between = " up to {highest} and down" if max(rates) > max(rates[0], rates[-1]) else ""
    return written(
        f"The learning rate {how}{warmup}: from {{first}} in the first epoch{between} to {{last}} in the last of "
        "{epochs} (<fig-curves>, right).",
        gamma=r.lr_gamma,
        step=r.lr_step,
        warmup="epoch" if r.warmup_epochs == 1 else f"{r.warmup_epochs} epochs",
        first=small(rates[0]),
        highest=small(max(rates)),
        last=small(rates[-1]),
        epochs=len(rates),
    )


def _averages(r: Recipe) -> list[Pieces]:
    weights = "A moving average of the weights (decay {ema:g}) is validated and saved [polyak1992]."
    mirrored = "In validation the network sees each photo as it is and mirrored, and its answers are averaged."
    return [
        written(weights, ema=r.ema_decay) if r.ema_decay else [],
        written(mirrored) if r.test_flip else [],
    ]


def _saving(facts: Facts) -> Pieces:
    return written(
        "After every epoch that is better on the validation photos than all before it, the weights are saved "
        "(`best_model.pth`). After training the file is loaded into a fresh network, which has to reach the logged "
        "accuracy. Intervals are Wilson's [wilson1927] for 95 % confidence; one for the best epoch knows the number of "
        "photos, not that the epoch was chosen on them, so the mean of the last five epochs is given beside it."
    )
