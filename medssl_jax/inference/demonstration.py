"""The small detector that comes with the package, so that a new installation finds something at once.

`demonstration_detector.md` beside it is its model card: what it was trained on, how it scored, what it is not for.
"""

from pathlib import Path

DEMONSTRATION = Path(__file__).with_name("demonstration_detector.safetensors")
