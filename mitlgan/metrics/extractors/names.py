"""Names of the extractors that need no download."""

from __future__ import annotations

from mitlgan.networks.feature_networks.efficientnet_lite0 import EFFICIENTNET_LITE0
from mitlgan.networks.feature_networks.mobilenet_v2 import MOBILENET_V2

OFFLINE_EXTRACTOR = EFFICIENTNET_LITE0
"""The default: its weights come with a package that mitlgan depends on."""
SECOND_EXTRACTOR = MOBILENET_V2
