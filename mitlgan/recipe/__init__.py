"""Recipes: typed settings read from TOML.

A recipe holds everything that decides a result: data, networks, objective, optimisers, length, seed. It is read from a file, changed by `--set a.b=v`,
checked as a whole before anything is built, and written in full into its run. Every error names the file and the line; an unknown key is an error that
names the closest known one.
"""

from mitlgan.recipe.display_name import changes_from_shipped, display_name, display_name_of
from mitlgan.recipe.ladder import (
    doublings,
    grown_to,
    ladder_steps,
    require_generator_learns,
    shallower,
    with_equal_length,
    with_first_step,
    with_more_kimg,
    with_total_kimg,
)
from mitlgan.recipe.load import (
    as_dict,
    diff_recipes,
    find_recipe,
    load_recipe,
    parse_recipe,
    read_recipe_text,
    to_toml,
    with_data_source,
    with_overrides,
)
from mitlgan.recipe.schema.augment import AugmentRecipe
from mitlgan.recipe.schema.composer import ComposerRecipe, Conv1x1FusionRecipe, PlacementRecipe
from mitlgan.recipe.schema.critics import AnyCritic, GrownCriticRecipe, MlpCriticRecipe, ProjectedCriticRecipe, StridedCriticRecipe, ThesisCriticRecipe
from mitlgan.recipe.schema.generators import (
    REACHABLE_PX,
    AnyGenerator,
    DcganGeneratorRecipe,
    GrownGeneratorRecipe,
    MlpGeneratorRecipe,
    ParentedGeneratorRecipe,
    SharpenedGeneratorRecipe,
    StyleGeneratorRecipe,
    ThesisGeneratorRecipe,
    UpsampledGeneratorRecipe,
    without_growth,
)
from mitlgan.recipe.schema.inpainter import HolesRecipe, InpainterRecipe
from mitlgan.recipe.schema.objectives import (
    AnyObjective,
    EvolutionaryRecipe,
    LsganRecipe,
    MinimaxRecipe,
    RelativisticRecipe,
    WganClipRecipe,
    WganGpRecipe,
)
from mitlgan.recipe.schema.optimisers import AdamRecipe, AnyOptimiser, RmspropRecipe
from mitlgan.recipe.schema.recipe import SCHEMA_VERSION, Recipe
from mitlgan.recipe.schema.training import CriticStartRecipe, DataRecipe, EvaluationRecipe, Filter, Role, TrainingRecipe, TransferRecipe
from mitlgan.recipe.schema.translators import (
    AnyTranslator,
    DensenetTranslatorRecipe,
    DenseTranslatorRecipe,
    GuidedTranslatorRecipe,
    NoTranslatorRecipe,
    ResnetTranslatorRecipe,
    UnetTranslatorRecipe,
)
from mitlgan.runtime.shipped_files import shipped_folder, shipped_recipe_names

__all__ = [
    "REACHABLE_PX",
    "SCHEMA_VERSION",
    "AdamRecipe",
    "AnyCritic",
    "AnyGenerator",
    "AnyObjective",
    "AnyOptimiser",
    "AnyTranslator",
    "AugmentRecipe",
    "ComposerRecipe",
    "Conv1x1FusionRecipe",
    "CriticStartRecipe",
    "DataRecipe",
    "DcganGeneratorRecipe",
    "DenseTranslatorRecipe",
    "DensenetTranslatorRecipe",
    "EvaluationRecipe",
    "EvolutionaryRecipe",
    "Filter",
    "GrownCriticRecipe",
    "GrownGeneratorRecipe",
    "GuidedTranslatorRecipe",
    "HolesRecipe",
    "InpainterRecipe",
    "LsganRecipe",
    "MinimaxRecipe",
    "MlpCriticRecipe",
    "MlpGeneratorRecipe",
    "NoTranslatorRecipe",
    "ParentedGeneratorRecipe",
    "PlacementRecipe",
    "ProjectedCriticRecipe",
    "Recipe",
    "RelativisticRecipe",
    "ResnetTranslatorRecipe",
    "RmspropRecipe",
    "Role",
    "SharpenedGeneratorRecipe",
    "StridedCriticRecipe",
    "StyleGeneratorRecipe",
    "ThesisCriticRecipe",
    "ThesisGeneratorRecipe",
    "TrainingRecipe",
    "TransferRecipe",
    "UnetTranslatorRecipe",
    "UpsampledGeneratorRecipe",
    "WganClipRecipe",
    "WganGpRecipe",
    "as_dict",
    "changes_from_shipped",
    "diff_recipes",
    "display_name",
    "display_name_of",
    "doublings",
    "find_recipe",
    "grown_to",
    "ladder_steps",
    "load_recipe",
    "parse_recipe",
    "read_recipe_text",
    "require_generator_learns",
    "shallower",
    "shipped_folder",
    "shipped_recipe_names",
    "to_toml",
    "with_data_source",
    "with_equal_length",
    "with_first_step",
    "with_more_kimg",
    "with_overrides",
    "with_total_kimg",
    "without_growth",
]
