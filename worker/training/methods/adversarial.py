"""Adversarial training: a generator against a discriminator (Goodfellow et al. 2014, arXiv 1406.2661)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.config.training import TrainingConfig
from models.networks import build
from models.networks.spectral import iterate
from models.objectives.augmentations import augment
from models.objectives.losses import LOSSES
from models.objectives.penalties import PENALTIES, mixtures
from worker.training.guard.findings import Health
from worker.training.methods import codes, projected
from worker.training.methods.adaptive import adapt, new_adaptive_state
from worker.training.methods.codes import CodesObjective
from worker.training.methods.method import (
    Hyperparameters,
    Means,
    Method,
    Microbatch,
    OptimizerSpec,
    StepState,
    Terms,
    Update,
)
from worker.training.methods.projected import ProjectedObjective
from worker.training.methods.verdict import judge
from worker.training.schedule import annealed


@dataclass(frozen=True)
class Objective:
    """The losses of both networks on the rows of one microbatch: x real images, y their labels, z latents."""

    method: Adversarial
    state: StepState
    batch: Microbatch
    hyperparameters: Hyperparameters

    def discriminator(self) -> Terms:
        """min over D: E[f_real(D(x))] + E[f_fake(D(G(z)))] + weight R(D)."""
        f, x, y = self.method.loss, self.real, self.conditioning
        with torch.no_grad(), self.state.autocast():
            fake = self.G(self.z(), *y).float()
        real_logits, fake_logits, penalty, shown = self.judged(x, fake, y)
        # A paired loss takes the differences between real and generated outputs; its `fake` is zero.
        loss_real = f.real(real_logits - fake_logits if f.paired else real_logits)
        loss_fake = f.fake(fake_logits)
        terms = {"loss": loss_real + loss_fake, "loss_d_real": loss_real, "loss_d_fake": loss_fake}
        if penalty is not None:
            terms["penalty"] = self.hyperparameters["penalty_weight"] * penalty
            # A penalty taken every k-th step counts k times ("lazy regularisation", arXiv 1912.04958, appendix B).
            terms["loss"] = terms["loss"] + self.method.config.penalty.every * terms["penalty"]
        if self.projected is not None:
            terms |= self.projected.discriminator(*shown)
            terms["loss"] = terms["loss"] + terms["loss_projected_d"]
        with torch.no_grad():
            terms |= {"d_real": real_logits.sigmoid().mean(), "d_fake": fake_logits.sigmoid().mean()}
            return terms | {"sign": real_logits.sign().mean()} if self.method.adaptive else terms

    def generator(self) -> Terms:
        """min over G: E[f_generator(D(G(z)))], and the weighted loss against the projected discriminator."""
        f, y = self.method.loss, self.conditioning
        with self.state.autocast():
            fake = self.G(self.z(), *y).float()
            shown = self.augmented(fake)
            fake_logits = self.D(shown, *y)
        fake_logits = fake_logits.float()
        if f.paired:
            with torch.no_grad(), self.state.autocast():
                real_logits = self.D(self.augmented(self.real), *y)
            loss = f.generator(fake_logits - real_logits.float())
        else:
            loss = f.generator(fake_logits)
        terms = {"loss": loss, "loss_g": loss}
        if self.projected is not None:
            terms |= self.projected.generator(shown)
            terms["loss"] = loss + self.projected.config.weight * terms["loss_projected_g"]
        if self.codes is not None:
            terms |= self.codes.generator(fake)
            terms["loss"] = terms["loss"] + self.hyperparameters["codes_weight"] * terms["loss_codes"]
        with torch.no_grad():
            return terms | {"d_fake_after": fake_logits.sigmoid().mean()}

    def judged(self, real: Tensor, fake: Tensor, y: Sequence[Tensor]) -> Judged:
        """Show real and generated images to D."""
        points = self.method.penalty.points
        penalty = self.method.penalty.formula if self.batch.update.regularised else None
        if penalty is not None and points == "images":
            images = torch.cat((real, fake)).requires_grad_()
            both = self.augmented(images)
            logits = self.D_eager(both, *twice(y))
            return Judged(*halves(logits), penalty(logits, images), halves(both.detach()))
        if penalty is not None and points == "reals":
            images = real.detach().requires_grad_()
            both = self.augmented(torch.cat((images, fake)))
            logits = self.D_eager(both, *twice(y))
            return Judged(*halves(logits), penalty(halves(logits)[0], images), halves(both.detach()))
        # One pass over both halves where no layer mixes rows: fewer and larger kernels.
        with self.state.autocast():
            if self.method.joined:
                both = self.augmented(torch.cat((real, fake)))
                shown = halves(both)
                real_logits, fake_logits = halves(self.D(both, *twice(y)).float())
            else:
                shown = self.augmented(real), self.augmented(fake)
                real_logits, fake_logits = self.D(shown[0], *y).float(), self.D(shown[1], *y).float()
        if penalty is None:
            return Judged(real_logits, fake_logits, None, shown)
        # WGAN-GP: gradients between real and generated images need a pass of their own.
        images = mixtures(real, fake, self.batch.rows.of(self.state.noise.shares(self.state.batch_size)))
        between = penalty(self.D_eager(self.augmented(images), *y), images)
        return Judged(real_logits, fake_logits, between, shown)

    @property
    def G(self) -> nn.Module:  # noqa: N802  # the paper's letter
        return self.state.modules["generator"]

    @property
    def D(self) -> nn.Module:  # noqa: N802
        return self.state.modules["discriminator"]

    # D without the compiled code, which cannot be differentiated twice; in fp32 unless the penalty may take less.
    def D_eager(self, *inputs: Tensor) -> Tensor:  # noqa: N802
        half = self.method.config.penalty.precision == "auto"
        with _eager(self.D), self.state.autocast() if half else nullcontext():
            logits: Tensor = self.D(*inputs)
        return logits.float()

    def z(self) -> Tensor:
        # Drawn for a whole batch, so that every slice and rank draws the same numbers.
        z = self.batch.rows.of(self.state.noise.latents(self.state.batch_size))
        return z if self.codes is None else self.codes.in_place_of(z)

    @property
    def projected(self) -> ProjectedObjective | None:
        section = self.method.config.projected
        return None if section is None else ProjectedObjective(section, self.state)

    @cached_property
    def codes(self) -> CodesObjective | None:
        section = self.method.config.codes
        if section is None or self.projected is None:
            return None
        return CodesObjective(section, self.projected, self.real, self.batch.rows)

    @property
    def real(self) -> Tensor:
        assert self.batch.images is not None, "the update takes real images"
        return self.batch.images

    @cached_property
    def conditioning(self) -> tuple[Tensor, ...]:
        """Labels of the real images, or drawn ones in updates without images; empty for unconditional networks."""
        if self.batch.images is not None:
            return () if self.batch.labels is None else (self.batch.labels,)
        labels = self.state.noise.labels(self.state.batch_size)
        return () if labels is None else (self.batch.rows.of(labels),)

    def augmented(self, images: Tensor) -> Tensor:
        names = self.method.config.augment.policy
        if not names:
            return images
        # The adaptive probability stays on the device.
        p = self.state.buffers["confidence"][0] if self.method.adaptive else self.hyperparameters["augment_p"]
        return augment(images, names, p, self.state.noise.generator, self.batch.rows)


class Judged(NamedTuple):
    """What D says: logits `[n]`, R(D) unweighted, None in steps without it; and the augmented images that it saw."""

    real: Tensor
    fake: Tensor
    penalty: Tensor | None
    shown: tuple[Tensor, Tensor]


def halves(both: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows of real and of generated images of one batch."""
    count = len(both) // 2
    return both[:count], both[count:]


# Labels for real and generated images in one batch.
def twice(labels: Sequence[Tensor]) -> list[Tensor]:
    return [torch.cat((each, each)) for each in labels]


def _eager(network: nn.Module) -> AbstractContextManager[object]:
    # Checked first: the context imports torch's compiler, which takes seconds.
    return nullcontext() if network._compiled_call_impl is None else torch.compiler.set_stance("force_eager")


class Adversarial(Method):
    """Discriminator steps, each on a fresh batch, then generator steps."""

    guarded: tuple[str, ...] = ("discriminator", "generator")
    terms: tuple[tuple[str, ...], ...] = (
        ("loss_d_real", "loss_d_fake", "d_real", "d_fake"),
        ("loss_g", "d_fake_after"),
        ("penalty",),
    )

    def __init__(self, config: TrainingConfig) -> None:
        self.config = config
        self.averages = {"average": "generator"}
        self.generators = {"generator": "average"}
        self.loss = LOSSES.get(config.loss)
        self.penalty = PENALTIES.get(config.penalty.kind)
        self.adaptive = config.augment.control == "adaptive"
        # With batch norm, real and generated images go through D apart (arXiv 1511.06434): joined, they share
        # statistics.
        self.joined = not config.discriminator.network.uses_batch_norm
        generator, discriminator = config.generator, config.discriminator
        self.optimizers = {
            "generator": OptimizerSpec(
                ("generator",),
                "gradient_g",
                generator.lr,
                generator.betas,
                generator.lr_end,
                generator.beta2_end,
            ),
            "discriminator": OptimizerSpec(
                ("discriminator",),
                "gradient_d",
                discriminator.lr,
                discriminator.betas,
                discriminator.lr_end,
                discriminator.beta2_end,
            ),
        }
        if config.projected is not None:
            self.optimizers["projected"] = projected.optimizer(config.projected)
            self.guarded = (*self.guarded, "projected")
            self.terms = (*self.terms, ("loss_projected_d",), ("loss_projected_g",))
        if config.codes is not None:
            self.terms = (*self.terms, ("loss_codes",))

    def build(self) -> dict[str, nn.Module]:
        pair, section = build(self.config), self.config.projected
        networks = {"generator": pair.generator, "discriminator": pair.discriminator}
        if section is not None:
            networks |= projected.modules(section)
        if section is not None and self.config.codes is not None:
            networks["codes"] = codes.Encoder(self.config.shape, self.config.latent.dim, len(section.strides))
        return networks

    def frozen(self, device: torch.device) -> dict[str, nn.Module]:
        if self.config.projected is None:
            return {}
        return projected.frozen(self.config.projected, device, None if self.config.codes is None else codes.DEEPEST)

    def fit(self, state: StepState, images: Iterable[Tensor]) -> None:
        if self.config.codes is not None and self.config.projected is not None:
            codes.fit(ProjectedObjective(self.config.projected, state), images)

    def example(self, module: str) -> list[Tensor] | None:
        config = self.config
        if module not in ("generator", "discriminator"):
            return None
        labels = [torch.zeros(1, dtype=torch.int64)] if config.conditional else []
        if module == "generator":
            return [torch.zeros(1, config.latent.dim), *labels]
        return [torch.zeros(1, config.shape.channels, config.shape.height, config.shape.width), *labels]

    def buffers(self, device: torch.device) -> dict[str, Tensor]:
        return {"confidence": new_adaptive_state(device)}

    def updates(self, images: int) -> tuple[Update, ...]:
        # Steps are counted over the whole run, so that lazy penalties do not depend on where a run resumes.
        first, config = images // self.config.batch_size, self.config
        steps = range(first, first + config.discriminator.steps)
        also = () if config.projected is None else ("projected",)
        discriminator = tuple(Update("discriminator", regularised=self.is_penalised(step), also=also) for step in steps)
        generator = Update("generator", takes_images=self.loss.paired or config.codes is not None, counts_images=False)
        return discriminator + (generator,) * config.generator.steps

    def is_penalised(self, step: int) -> bool:
        return self.penalty.takes_gradients and step % self.config.penalty.every == 0

    def hyperparameters(self, images: int, length: int, penalty_factor: float) -> dict[str, float]:
        progress = images / length
        values = {
            "penalty_weight": penalty_factor * self.penalty_weight(progress),
            "augment_p": self.augment_p(progress),
        }
        if (section := self.config.codes) is not None:
            values["codes_weight"] = section.weight * (section.weight_end / section.weight) ** min(progress, 1.0)
        return values

    def penalty_weight(self, progress: float) -> float:
        """Return the penalty's weight at a share of the run, without the factor of rollbacks."""
        return annealed(self.config.penalty.weight, self.config.penalty.weight_end, progress)

    def augment_p(self, progress: float) -> float:
        """Return the probability of each change to an image; the limit where it is adaptive."""
        augment = self.config.augment
        return annealed(0.0, augment.p, progress) if augment.control == "cosine" else augment.p

    def step(self, state: StepState, batch: Microbatch, hyperparameters: Hyperparameters) -> Terms:
        objective = Objective(self, state, batch, hyperparameters)
        return objective.discriminator() if batch.update.optimizer == "discriminator" else objective.generator()

    def after_update(self, state: StepState, update: Update, terms: Terms) -> None:
        iterate(state.modules[name] for name in update.optimizers)
        if "sign" in terms:
            adapt(state.buffers["confidence"], terms["sign"], state.batch_size, self.config.augment.p)

    def report(self, means: Means, buffers: Mapping[str, Tensor], progress: float) -> Means:
        """Return the figures of a tick: null where the loss has no such figure.

        `d_real` is D(x) and `d_fake` D(G(z)) in the discriminator's steps, before their updates; `d_fake_after` is
        D(G(z)) after those, in the generator's steps. `penalty` is weighted.
        """
        has_probabilities, has_halves = self.loss.has_probabilities, not self.loss.paired
        loss_real, loss_fake = means["loss_d_real"] or 0.0, means["loss_d_fake"] or 0.0
        return {
            "loss_d": loss_real + loss_fake,
            "loss_d_real": loss_real if has_halves else None,
            "loss_d_fake": loss_fake if has_halves else None,
            "loss_g": means["loss_g"] or 0.0,
            "d_real": means["d_real"] if has_probabilities else None,
            "d_fake": means["d_fake"] if has_probabilities else None,
            "d_fake_after": means["d_fake_after"] if has_probabilities else None,
            "penalty": means["penalty"],
            "gradient_d": means["gradient_d"],
            "gradient_g": means["gradient_g"],
            "augment_p": self._reported_augment_p(buffers, progress),
            **({} if self.config.projected is None else {name: means[name] for name in projected.REPORTED}),
            **({} if self.config.codes is None else {"loss_codes": means["loss_codes"]}),
        }

    def judge(self, means: Means) -> Health:
        return judge(self.loss, means)

    def _reported_augment_p(self, buffers: Mapping[str, Tensor], progress: float) -> float | None:
        if self.adaptive:
            return float(buffers["confidence"][0])
        return self.augment_p(progress) if self.config.augment.policy else None
