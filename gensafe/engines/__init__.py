"""The engines of one server: several generators side by side, chosen by model name or by what is asked for."""

from gensafe.engines.engine import Engine, Health
from gensafe.engines.engines import Engines
from gensafe.engines.open import open_engines

__all__ = ["Engine", "Engines", "Health", "open_engines"]
