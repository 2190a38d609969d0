"""Three symbols of National Socialist organisations in pictures: a small network trained on drawings alone."""

from gensafe.safety.symbols.engine import Symbol, SymbolEngine, shared_engine, weights_digest

__all__ = ["Symbol", "SymbolEngine", "shared_engine", "weights_digest"]
