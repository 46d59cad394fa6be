"""One update of the critic, and one of the generator."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mitlgan.data.pack.index_sampler import IndexSampler
from mitlgan.errors import NanError
from mitlgan.images.pixels import to_float
from mitlgan.recipe import Recipe
from mitlgan.runtime.distributed import World, any_rank, average_gradients
from mitlgan.runtime.progress import format_kimg
from mitlgan.runtime.randomness import derived_seed, draw_uniform, random_generator, seed_global_generators
from mitlgan.training.augmentation import DiffAugment, overfitting_sign
from mitlgan.training.evolution import GeneratorSnapshot
from mitlgan.training.inputs import make_inputs
from mitlgan.training.run_directory import Run
from mitlgan.training.setup import TrainingSetup
from mitlgan.training.state import TrainingState
from mitlgan.training.stopwatch import Stopwatch


class Generated(NamedTuple):
    """Images (N, C, H, W) that the generator learns from, and its auxiliary loss, if it has one."""

    images: Tensor
    aux_loss: Tensor | None


class NetworkUpdates:
    """Updates of both networks; their random numbers depend on seed and update alone, and belong to the samples of the whole batch.

    Args:
        run: Named in errors.
        state: Networks and optimisers, which are changed.
        recipe: All settings.
        setup: Objective and pictures.
        world: This process's rank and device.
        stopwatch: Counts the time of forward, backward and optimiser as computing.
    """

    def __init__(self, run: Run, state: TrainingState, recipe: Recipe, setup: TrainingSetup, world: World, stopwatch: Stopwatch) -> None:
        self.run, self.state, self.recipe, self.setup, self.world, self.stopwatch = run.path, state, recipe, setup, world, stopwatch
        self.channels = setup.generator.image_channels
        self.sampler = IndexSampler(len(setup.pack), recipe.training.batch // world.size, recipe.seed, world.rank, world.size)
        augment = recipe.augment if recipe.augment is not None and recipe.augment.applies_to(len(setup.pack)) else None
        self.augmentation = DiffAugment(augment, recipe.seed, world.share)
        self.inputs = make_inputs(setup.generator, recipe, setup.pack, world)

    def update_critic(self, real: Tensor, update: int, shared: Generated | None) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the fake images and the statistics of one update of the critic."""
        state = self.state
        inputs = self.inputs.sample("critic", update, real) if shared is None else None
        with self.stopwatch.computing():
            with self._autocast():
                with torch.no_grad():
                    fake = state.generator(inputs) if shared is None else shared.images.detach()
                augmented = self._augment(real, "critic's real", update), self._augment(fake, "critic's fake", update)
                augmentation_stats = self._adapt_augmentation(*augmented, update)
            stats = self._step_critic(augmented, update)
        return fake, {**stats, **augmentation_stats}

    def _step_critic(self, images: tuple[Tensor, Tensor], update: int) -> dict[str, Tensor]:
        """Make the optimiser steps of one update; the logged loss is their sum, the gradient's norm that of the last."""
        state, objective = self.state, self.setup.objective
        rng = random_generator(self.recipe.seed, "objective", update, self.world.share)
        losses = objective.critic_losses(state.critic, *images, rng, update)
        stats: dict[str, Tensor] = {}
        steps: list[Tensor] = []
        while True:
            with self._autocast():
                following = next(losses, None)
            if following is None:
                break
            loss, step_stats = following
            norm = self.optimizer_step(loss, state.critic_optimiser, state.critic_parameters)
            steps.append(loss.detach())
            stats |= {**step_stats, "critic_loss": sum(steps[1:], steps[0]), "critic_grad_norm": norm}
        objective.after_critic_step(state.critic)
        return stats

    def update_generator(self, real: Tensor, update: int, shared: Generated | None, *, is_critic_alone: bool) -> dict[str, Tensor]:
        """Return the statistics of one update of the generator; without an update where the critic trains alone."""
        state = self.state
        if not is_critic_alone and self.setup.objective.mutations(state.critic):
            return self._evolve_generator(real, update)
        fake, aux_loss = shared or self.generate(real, update, with_grad=not is_critic_alone)
        with self.stopwatch.computing():
            with torch.set_grad_enabled(not is_critic_alone), self._autocast():
                augmented = self._augment(fake, "generator's fake", update), self._augment(real, "generator's real", update)
                loss, stats = self.setup.objective.generator_loss(state.critic, *augmented)
                if aux_loss is not None:
                    loss, stats = loss + aux_loss, {**stats, "own_loss": aux_loss.detach()}
            norm = torch.zeros_like(loss) if is_critic_alone else self.optimizer_step(loss, state.generator_optimiser, state.generator_parameters)
        return {**stats, "generator_loss": loss.detach(), "generator_grad_norm": norm}

    def _evolve_generator(self, real: Tensor, update: int) -> dict[str, Tensor]:
        """Make a child of the generator by each mutation, and keep the fittest; all have the same latents, dropout and judgement."""
        state, objective = self.state, self.setup.objective
        parent = GeneratorSnapshot(state)
        mutations = objective.mutations(state.critic)
        children: list[tuple[GeneratorSnapshot, dict[str, Tensor]]] = []
        for loss_of in mutations.values():
            parent.restore(state)
            self._seed_dropout("mutation", update)
            fake, aux_loss = self.generate(real, update, with_grad=True)
            with self.stopwatch.computing():
                with self._autocast():
                    loss = loss_of(self._augment(fake, "generator's fake", update))
                    loss = loss if aux_loss is None else loss + aux_loss
                norm = self.optimizer_step(loss, state.generator_optimiser, state.generator_parameters)
                self._seed_dropout("fitness", update)
                judged = self._augment(self.generate(real, update, with_grad=False).images, "generator's fake", update)
                fitness = objective.fitness(state.critic, judged, self._augment(real, "generator's real", update))
            children.append((GeneratorSnapshot(state), {**fitness, "generator_loss": loss.detach(), "generator_grad_norm": norm}))
        fitnesses = [stats["fitness"].item() for _, stats in children]
        best = max(range(len(children)), key=lambda index: fitnesses[index] if math.isfinite(fitnesses[index]) else -math.inf)
        children[best][0].restore(state)
        choice = {f"mutation_{name}": torch.full_like(norm, float(index == best)) for index, name in enumerate(mutations)}
        return {**children[best][1], **choice}

    def _seed_dropout(self, purpose: str, update: int) -> None:
        seed_global_generators(derived_seed(self.recipe.seed, f"dropout of a {purpose}", update), self.world.device)

    def optimizer_step(self, loss: Tensor, optimiser: torch.optim.Optimizer, parameters: list[nn.Parameter]) -> Tensor:
        """Make one optimiser step and return the gradient's norm; skip the step where loss or gradient is not finite on any rank.

        Raises:
            NanError: As many steps in a row were skipped as the recipe allows.
        """
        counters = self.state.counters
        for parameter in parameters:  # as `optimiser.zero_grad()` does, without its records for a profiler
            parameter.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        average_gradients(parameters, self.world)
        norm = nn.utils.get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
        if not any_rank(not math.isfinite(norm.item() + loss.item()), self.world):
            optimiser.step()
            return norm
        counters.nan_skipped += 1
        counters.nan_in_a_row += 1
        if counters.nan_in_a_row >= self.recipe.training.nan_patience:
            raise NanError(
                f"{self.run}: {counters.nan_in_a_row} updates, some in each iteration, were not finite at "
                f"{format_kimg(counters.kimg)} kimg; the last checkpoint is from before; lower the learning rate"
            )
        return norm

    def real_batch(self, update: int) -> Tensor:
        """Return the real images of a critic update, (N, C, H, W) in [-1, 1]."""
        pixels = self.setup.pack.batch(self.sampler.indices(update), channels=self.channels)
        if self.recipe.data.mirror:
            is_mirrored = draw_uniform((len(pixels),), random_generator(self.recipe.seed, "mirrored", update, self.world.share)) < 0.5
            pixels = torch.where(is_mirrored.view(-1, 1, 1, 1), pixels.flip(3), pixels)
        if self.world.device.type == "cuda":
            pixels = pixels.pin_memory().to(self.world.device, non_blocking=True)
        return to_float(pixels.to(self.world.device))

    def generate(self, real: Tensor, update: int, *, with_grad: bool) -> Generated:
        """Return images that the generator learns from."""
        inputs = self.inputs.sample("generator", update, real)
        rng = random_generator(self.recipe.seed, "own loss", update, self.world.share)
        with self.stopwatch.computing(), torch.set_grad_enabled(with_grad), self._autocast():
            return Generated(*self.state.generator.forward_with_aux_loss(inputs, self.state.counters.kimg, real, rng))

    def _augment(self, images: Tensor, purpose: str, update: int) -> Tensor:
        return self.augmentation(images, purpose, update, self.state.counters.augment_probability)

    def _adapt_augmentation(self, real: Tensor, fake: Tensor, update: int) -> dict[str, Tensor]:
        """Adapt the augmentation's probability to how the critic scores a batch before it learns from it, and return statistics."""
        counters = self.state.counters
        if not self.augmentation.is_adaptation_due(update):
            return {}
        sign = overfitting_sign(self.state.critic, real, fake)
        counters.augment_probability = self.augmentation.next_probability(counters.augment_probability, sign.item(), self.recipe.training.batch)
        return {"augment_sign": sign, "augment_probability": sign.new_tensor(counters.augment_probability)}

    def _autocast(self) -> torch.autocast:
        precision, device = self.recipe.training.precision, self.world.device.type
        is_bf16 = precision == "bf16" if precision is not None else device == "cuda"
        return torch.autocast(device, torch.bfloat16, enabled=is_bf16)
