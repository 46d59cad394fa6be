"""A folder that can be uploaded to the Hugging Face Hub as it is: the artifact, its card as README with metadata, and a sheet of samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mitlgan.artifacts.card import Card
from mitlgan.artifacts.load_save import save_network
from mitlgan.artifacts.loaded_artifact import LoadedArtifact
from mitlgan.artifacts.markdown_card import markdown_card
from mitlgan.artifacts.published_card import published_card
from mitlgan.artifacts.sample_files import stages_sheet_png
from mitlgan.runtime.claimed_names import refuse_existing
from mitlgan.runtime.files import ensure_folder, write_atomically
from mitlgan.runtime.unfinished_outputs import remove_if_failed

SHEET_FILE, SHEET_SEEDS = "samples.png", 16
# Licences by their names in cards -> the Hub's identifiers (https://huggingface.co/docs/hub/repositories-licenses); any other is named in words.
HUB_LICENCES = {"mit": "mit", "cc0": "cc0-1.0", "cc0-1.0": "cc0-1.0", "cc-by-4.0": "cc-by-4.0", "cc-by-sa-4.0": "cc-by-sa-4.0",
                "apache-2.0": "apache-2.0", "bsd-3-clause": "bsd-3-clause"}  # fmt: skip


def write_hub_folder(artifact: LoadedArtifact, folder: Path) -> Path:
    """Write the folder; `mitlgan.load("hf://OWNER/NAME")` takes it from the Hub again. No path of this machine is in it.

    Args:
        artifact: Generator or composer, on the CPU.
        folder: The folder; it must not exist.

    Raises:
        UsageError: The folder exists.
        ResourceError: It cannot be written; nothing of it stays, as after an interrupt.
    """
    refuse_existing(folder, "--out")
    with remove_if_failed(folder):
        ensure_folder(folder)
        save_network(folder / f"{artifact.card.kind}.safetensors", artifact.network, published_card(artifact.card), root=folder, is_new=True)
        write_atomically(folder / SHEET_FILE, stages_sheet_png(artifact.layers(range(SHEET_SEEDS))), root=folder, is_new=True)
        write_atomically(folder / "README.md", hub_readme(artifact), root=folder, is_new=True)
    return folder


def hub_readme(artifact: LoadedArtifact) -> str:
    """Return the card in Markdown, after the metadata in YAML that the Hub reads."""
    lines = [f"{key}: {json.dumps(value, ensure_ascii=True)}" for key, value in _metadata(artifact.card).items()]  # JSON is YAML
    title, text = markdown_card(artifact).split("\n\n", 1)
    text = text.replace("mitlgan.load(PATH)", 'mitlgan.load("hf://OWNER/NAME")')
    return "\n".join(["---", *lines, "---", "", title, "", f"![samples]({SHEET_FILE})", "", text])


def _metadata(card: Card) -> dict[str, Any]:
    known = HUB_LICENCES.get(card.licence.lower())
    licence = {"license": known} if known else {"license": "other", "license_name": card.licence[:100]} if card.licence else {}
    return {
        **licence,
        "library_name": "mitlgan",
        "pipeline_tag": "unconditional-image-generation",
        "tags": ["gan", "layered-generation", card.kind, f"{card.size_px}px", str(card.recipe.get("name") or card.role)[:100]],
    }
