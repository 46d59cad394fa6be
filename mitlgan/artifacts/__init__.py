"""Artifacts: trained networks for use, as safetensors with a JSON card."""
