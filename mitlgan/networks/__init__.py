"""Networks: generators, critics, fusions, translators, the composer and the context encoder."""

from mitlgan.networks.blocks import Critic, Generator
from mitlgan.networks.build import (
    build_composer,
    build_critic,
    build_generator,
    build_inpainter,
    check_composer,
    check_layer_name,
    check_size,
    identify_feature_network,
    require_critic_weights,
)
from mitlgan.networks.complexity import BlockSummary, ParameterCounts, count_macs, count_parameters, summarize_blocks
from mitlgan.networks.composer import PLACEMENT_LATENT, Composer, CompositionStages
from mitlgan.networks.context_encoder import ContextEncoder
from mitlgan.networks.critics.grown import GrownCritic
from mitlgan.networks.fusion.interface import back_to_front
from mitlgan.networks.generators.grown import GrownGenerator
from mitlgan.networks.interface import Kind, Network
from mitlgan.networks.placement import EffectStrengths, LayerTransform

__all__ = [
    "PLACEMENT_LATENT",
    "BlockSummary",
    "Composer",
    "CompositionStages",
    "ContextEncoder",
    "Critic",
    "EffectStrengths",
    "Generator",
    "GrownCritic",
    "GrownGenerator",
    "Kind",
    "LayerTransform",
    "Network",
    "ParameterCounts",
    "back_to_front",
    "build_composer",
    "build_critic",
    "build_generator",
    "build_inpainter",
    "check_composer",
    "check_layer_name",
    "check_size",
    "count_macs",
    "count_parameters",
    "identify_feature_network",
    "require_critic_weights",
    "summarize_blocks",
]
