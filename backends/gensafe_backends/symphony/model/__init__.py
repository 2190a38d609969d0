"""The forward pass: its definition and the engines that compute it."""
