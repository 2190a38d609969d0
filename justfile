# Recipes for people working on GenSafe.

# Train the shipped model on one CPU core (about an hour); the bundle lands in build/nano/symphony-nano.
train-nano minutes="75":
    python -m gensafe_backends.symphony.train --config nano --minutes {{minutes}} --out build/nano --resume
