"""`mitlgan.interpolate`, `mitlgan.mix` and `mitlgan.directions`: editing in latent space."""

from mitlgan import editing
from mitlgan.runtime.arguments import takes_arguments

interpolate = takes_arguments(
    options={"--layer": "layers"}, old_names={"straight": "lerp", "closed": "loop", "there_and_back": "ping_pong"}
)(editing.interpolate)  # fmt: skip
mix = takes_arguments(options={"--layer": "layers"}, old_names={"straight": "lerp"})(editing.mix)
directions = takes_arguments(old_names={"k": "count"})(editing.directions)
