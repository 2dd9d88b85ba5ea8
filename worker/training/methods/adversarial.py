"""One round of a training: updates of the discriminator, each on a fresh batch, then updates of the generator.

Pure maths on the state; when to report, keep or stop is decided by `worker.training.loop`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.networks.dropout import give_rows
from models.networks.rows import Rows
from models.objectives.augmentations import augment
from models.objectives.penalties import mixtures
from worker.data.loader import Batch
from worker.training.methods.penalties import eager
from worker.training.methods.step_config import Hyperparameters, StepConfig
from worker.training.state import ema
from worker.training.state.state import TrainingState


class Round(NamedTuple):
    """What is done in a round.

    Attributes:
        batches: real images for each step of the discriminator, then for those of the generator that need some.
        penalised: which of the discriminator's steps take a penalty.
        watched: whether to note the norms of both networks' gradients.
    """

    batches: Sequence[Batch]
    penalised: tuple[bool, ...]
    watched: bool = False


Perform = Callable[[TrainingState, StepConfig, Hyperparameters, Round], None]
"""Does a round's work, as `perform` does it."""


def play_round(state: TrainingState, recipe: StepConfig, *, watched: bool = False, by: Perform | None = None) -> None:
    """Update the discriminator and the generator as often as the recipe says; count the images.

    Of a `watched` round the norms of both networks' gradients are noted in `state.sums`, as the last steps saw them.
    The device's work is done `by` another way than `perform`, if one is given.
    """
    batches = [state.batches.next() for _ in range(recipe.batches())]
    this = Round(batches, recipe.penalised(state.images), watched)
    (by or perform)(state, recipe, recipe.hyperparameters(state), this)
    state.images += recipe.images()


def perform(state: TrainingState, recipe: StepConfig, hyperparameters: Hyperparameters, this: Round) -> None:
    """Do a round's work, all of it on the device: nothing is read back, and nothing here depends on numbers there.

    Args:
        state: what is moved; its counter of images is left alone.
        recipe: the rules.
        dials: this round's settings.
        this: what it is done on, and how.
    """
    state.discriminator_optimizer.set(hyperparameters.discriminator_lr, hyperparameters.discriminator_beta2)
    state.generator_optimizer.set(hyperparameters.generator_lr, hyperparameters.generator_beta2)
    shown = iter(this.batches)
    for takes_penalty in this.penalised:
        update_discriminator(state, recipe, hyperparameters, next(shown), penalised=takes_penalty, watched=this.watched)
    state.discriminator.requires_grad_(False)
    for _ in range(recipe.generator.steps):
        update_generator(state, recipe, hyperparameters, next(shown, None), watched=this.watched)
        ema.update(state.average, state.generator, hyperparameters.average_keep)
    state.discriminator.requires_grad_(True)


def update_discriminator(
    state: TrainingState,
    recipe: StepConfig,
    hyperparameters: Hyperparameters,
    batch: Batch,
    *,
    penalised: bool,
    watched: bool = False,
) -> None:
    """Take one step of the discriminator on real images and as many generated ones.

    Where networks are conditional, the generated images are of the real ones' classes.
    """
    seen = []
    for rows in _slices(state, recipe):
        loss, values = _discriminator_loss(state, recipe, hyperparameters, batch, rows, penalised=penalised)
        seen.append(_count_in(recipe, rows, loss, values))
    losses, penalty, sign = torch.split(_gathered(recipe, state.discriminator, seen), [4, 1, 1])
    if watched:
        state.sums.gradient_d.copy_(gradient_norm(state.discriminator))
    state.discriminator_optimizer.step()
    state.discriminator_optimizer.zero_grad()
    if recipe.augment.control == "adaptive":
        state.confidence.see(sign[0], recipe.batch, recipe.augment.p)
    state.sums.add_discriminator(losses)
    if penalised:
        state.sums.add_penalty(penalty)


def update_generator(
    state: TrainingState,
    recipe: StepConfig,
    hyperparameters: Hyperparameters,
    batch: Batch | None,
    *,
    watched: bool = False,
) -> None:
    """Take one step of the generator, on fresh latents, through a discriminator that collects no gradients.

    Where images are judged in pairs, the batch has the real ones, and generated ones are of their classes.
    """
    seen = []
    for rows in _slices(state, recipe):
        loss, values = _generator_loss(state, recipe, hyperparameters, batch, rows)
        seen.append(_count_in(recipe, rows, loss, values))
    losses = _gathered(recipe, state.generator, seen)
    if watched:
        state.sums.gradient_g.copy_(gradient_norm(state.generator))
    state.generator_optimizer.step()
    state.generator_optimizer.zero_grad()
    state.sums.add_generator(losses)


def _slices(state: TrainingState, recipe: StepConfig) -> Iterator[Rows]:
    """Give the slices in turn, each with the random numbers of the whole batch, of which it takes its rows."""
    start = state.randomness() if len(recipe.slices) > 1 else {}
    for number, rows in enumerate(recipe.slices):
        if number:
            state.set_randomness(start)
        if rows.count < rows.batch:
            give_rows(state.discriminator, rows)
        yield rows


def _count_in(recipe: StepConfig, rows: Rows, loss: Tensor, values: Sequence[Tensor]) -> Tensor:
    """Add a slice's gradients to those before, by its share of this rank's rows, and give its values by that share."""
    share = rows.share * recipe.ranks.count
    (loss if share == 1 else share * loss).backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        told = torch.stack([value.detach() for value in values])
        return told if share == 1 else share * told


@torch.no_grad()
def _gathered(recipe: StepConfig, network: nn.Module, seen: Sequence[Tensor]) -> Tensor:
    """Average the network's gradients over the ranks, and the sums of what slices told with them, which it gives."""
    told = seen[0] if len(seen) == 1 else torch.stack(list(seen)).sum(0)
    if recipe.ranks.together:
        recipe.ranks.average([*_gradients(network), told])
    return told


@torch.no_grad()
def gradient_norm(network: nn.Module) -> Tensor:
    """Give the root of the sum of squares of all gradients of a network, a scalar on its device."""
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(_gradients(network))))
    return norm


def _gradients(network: nn.Module) -> list[Tensor]:
    return [parameter.grad for parameter in network.parameters() if parameter.grad is not None]


def to_float(images: Tensor) -> Tensor:
    """Turn uint8 pixels into float32 in [-1, 1]."""
    return images.float().div_(127.5).sub_(1.0)


def _discriminator_loss(
    state: TrainingState,
    recipe: StepConfig,
    hyperparameters: Hyperparameters,
    batch: Batch,
    rows: Rows,
    *,
    penalised: bool,
) -> tuple[Tensor, list[Tensor]]:
    """Give what the discriminator minimises on some rows of a batch, and what is told of them.

    That is the losses on real and on generated images, D(x), D(G(z)), the penalty, and the mean sign of D(x).
    """
    real, told = _real(recipe, batch, rows)
    with torch.no_grad(), recipe.autocast():
        fake = state.generator(rows.of(state.noise.draw(recipe.batch)), *told).float()
    real_logits, fake_logits, penalty = _judged(
        state, recipe, hyperparameters, rows, real, fake, told, penalised=penalised
    )
    loss_real = recipe.objective.real(real_logits - fake_logits if recipe.objective.paired else real_logits)
    loss_fake = recipe.objective.fake(fake_logits)
    loss = loss_real + loss_fake
    if penalty is None:
        weighted = torch.zeros_like(loss)
    else:
        weighted = hyperparameters.penalty_weight * penalty
        loss = loss + recipe.penalty.every * weighted
    with torch.no_grad():
        outputs = real_logits.sigmoid().mean(), fake_logits.sigmoid().mean()
        return loss, [loss_real, loss_fake, *outputs, weighted, real_logits.sign().mean()]


def _generator_loss(
    state: TrainingState, recipe: StepConfig, hyperparameters: Hyperparameters, batch: Batch | None, rows: Rows
) -> tuple[Tensor, list[Tensor]]:
    """Give what the generator minimises on some rows of a batch, and what is told of them: that, and D(G(z))."""
    real, told = (None, _drawn_labels(state, recipe, rows)) if batch is None else _real(recipe, batch, rows)
    with recipe.autocast():
        fake = state.generator(rows.of(state.noise.draw(recipe.batch)), *told).float()
        logits = state.discriminator(_shown(state, recipe, hyperparameters, rows, fake), *told)
    logits = logits.float()
    if real is None:
        loss = recipe.objective.generator(logits)
    else:
        with torch.no_grad(), recipe.autocast():
            real_logits = state.discriminator(_shown(state, recipe, hyperparameters, rows, real), *told)
        loss = recipe.objective.generator(logits - real_logits.float())
    with torch.no_grad():
        return loss, [loss, logits.sigmoid().mean()]


def _real(recipe: StepConfig, batch: Batch, rows: Rows) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Give real images, and what networks are told beside images and latents: the labels, or nothing."""
    told = (rows.of(batch.labels),) if recipe.conditional and batch.labels is not None else ()
    return to_float(rows.of(batch.images)), told


def _shown(
    state: TrainingState, recipe: StepConfig, hyperparameters: Hyperparameters, rows: Rows, images: Tensor
) -> Tensor:
    """Give images as the discriminator sees them."""
    if not recipe.augment.policy:
        return images
    p = state.confidence.p if recipe.augment.control == "adaptive" else hyperparameters.augment_p
    return augment(images, recipe.augment.policy, p, state.noise.generator, rows)


def _drawn_labels(state: TrainingState, recipe: StepConfig, rows: Rows) -> tuple[Tensor, ...]:
    labels = state.noise.labels(recipe.batch)
    return () if labels is None else (rows.of(labels),)


def _judged(
    state: TrainingState,
    recipe: StepConfig,
    hyperparameters: Hyperparameters,
    rows: Rows,
    real: Tensor,
    fake: Tensor,
    told: tuple[Tensor, ...],
    *,
    penalised: bool,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Give the logits of real and of generated images, and the penalty without its weight if this step takes one.

    What a penalty is taken of is computed in fp32.
    """
    formula, points = recipe.penalty_spec.formula, recipe.penalty_spec.points
    if penalised and formula is not None and points == "images":
        images = torch.cat((real, fake)).requires_grad_()
        shown = _shown(state, recipe, hyperparameters, rows, images)
        with eager(state.discriminator):
            logits = state.discriminator(shown, *[torch.cat((labels, labels)) for labels in told])
        return logits[: len(real)], logits[len(real) :], formula(logits, images)
    with recipe.autocast():
        real_logits, fake_logits = _logits(state, recipe, hyperparameters, rows, real, fake, told)
    if not penalised or formula is None:
        return real_logits, fake_logits, None
    images = mixtures(real, fake, rows.of(state.noise.shares(recipe.batch)))
    with eager(state.discriminator):
        outputs: Tensor = state.discriminator(_shown(state, recipe, hyperparameters, rows, images), *told)
    return real_logits, fake_logits, formula(outputs, images)


def _logits(
    state: TrainingState,
    recipe: StepConfig,
    hyperparameters: Hyperparameters,
    rows: Rows,
    real: Tensor,
    fake: Tensor,
    told: tuple[Tensor, ...],
) -> tuple[Tensor, Tensor]:
    if recipe.joined:
        twice = [torch.cat((labels, labels)) for labels in told]
        both = state.discriminator(
            _shown(state, recipe, hyperparameters, rows, torch.cat((real, fake))), *twice
        ).float()
        return both[: len(real)], both[len(real) :]
    shown = [_shown(state, recipe, hyperparameters, rows, images) for images in (real, fake)]
    return state.discriminator(shown[0], *told).float(), state.discriminator(shown[1], *told).float()
