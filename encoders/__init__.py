"""Our encoders as Pyserini calls them: `register`, and the launcher ``python -m encoders``.

Importing this package needs neither Pyserini nor Java.
"""

from .registration import KEYS, register

__all__ = ["KEYS", "register"]
