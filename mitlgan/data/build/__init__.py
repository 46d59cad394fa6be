"""Pictures built into packs: decoded, cropped, resized, resumable."""
