"""From symbols to bytes: range coder, entropy models, the integer network behind them, and the container of files."""
