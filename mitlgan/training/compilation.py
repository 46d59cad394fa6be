"""Networks of a training, compiled by torch."""

from __future__ import annotations

from mitlgan.training.state import TrainingState


def compile_networks(state: TrainingState, backend: str, *, with_critic: bool) -> None:
    """Compile the networks in place; their parameters keep their names, so checkpoints and artifacts stay as they are.

    Args:
        state: Networks of the training; the moving average, which is used rarely, is not compiled.
        backend: Of `torch.compile`.
        with_critic: Whether the critic is compiled; not where its gradient is differentiated again.
    """
    for network in (*state.generator.compiled_parts(), *((state.critic,) if with_critic else ())):
        network.compile(backend=backend)
