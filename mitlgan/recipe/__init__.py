"""Recipes: typed settings read from TOML.

A recipe says everything that decides a result: data, networks, objective, optimisers, length, seed. It is read from a file, changed by `--set a.b=v`,
checked as a whole before anything is built, and written, resolved, into the run that it made. An unknown key is an error that names the closest known
one; every error names the file and the line.
"""

from mitlgan.recipe.display_name import changes, display_name, display_name_of
from mitlgan.recipe.load import changed, differences, dump, find, load, names, parse, plain, read, shipped
from mitlgan.recipe.schema.augment import AugmentRecipe
from mitlgan.recipe.schema.composer import ComposerRecipe, FusionRecipe, PlacementRecipe
from mitlgan.recipe.schema.inpainter import HolesRecipe, InpainterRecipe
from mitlgan.recipe.schema.networks import (
    REACHABLE_PX,
    AnyCritic,
    AnyGenerator,
    CriticRecipe,
    DcganGeneratorRecipe,
    GeneratorRecipe,
    GrownCriticRecipe,
    GrownGeneratorRecipe,
    MlpCriticRecipe,
    MlpGeneratorRecipe,
    StridedCriticRecipe,
    UpsampledGeneratorRecipe,
    without_growth,
)
from mitlgan.recipe.schema.objectives import AnyObjective, LsganRecipe, MinimaxRecipe, ObjectiveRecipe, RelativisticRecipe, WganClipRecipe
from mitlgan.recipe.schema.optimisers import AdamRecipe, AnyOptimiser, RmspropRecipe
from mitlgan.recipe.schema.recipe import SCHEMA_VERSION, Recipe
from mitlgan.recipe.schema.training import CriticStartRecipe, DataRecipe, EvaluationRecipe, Filter, Role, TrainingRecipe
from mitlgan.recipe.schema.translators import (
    AnyTranslator,
    DensenetTranslatorRecipe,
    LightTranslatorRecipe,
    NoTranslatorRecipe,
    ResnetTranslatorRecipe,
    TranslatorRecipe,
)

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
    "CriticRecipe",
    "CriticStartRecipe",
    "DataRecipe",
    "DcganGeneratorRecipe",
    "DensenetTranslatorRecipe",
    "EvaluationRecipe",
    "Filter",
    "FusionRecipe",
    "GeneratorRecipe",
    "GrownCriticRecipe",
    "GrownGeneratorRecipe",
    "HolesRecipe",
    "InpainterRecipe",
    "LightTranslatorRecipe",
    "LsganRecipe",
    "MinimaxRecipe",
    "MlpCriticRecipe",
    "MlpGeneratorRecipe",
    "NoTranslatorRecipe",
    "ObjectiveRecipe",
    "PlacementRecipe",
    "Recipe",
    "RelativisticRecipe",
    "ResnetTranslatorRecipe",
    "RmspropRecipe",
    "Role",
    "StridedCriticRecipe",
    "TrainingRecipe",
    "TranslatorRecipe",
    "UpsampledGeneratorRecipe",
    "WganClipRecipe",
    "changed",
    "changes",
    "differences",
    "display_name",
    "display_name_of",
    "dump",
    "find",
    "load",
    "names",
    "parse",
    "plain",
    "read",
    "shipped",
    "without_growth",
]
