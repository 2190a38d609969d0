# Recipes for people working on GenSafe.

# Train the model from nothing on one CPU core (about an hour); the bundle lands in build/nano/symphony-nano.
train-nano minutes="75":
    python -m gensafe_backends.symphony.train --config nano --minutes {{minutes}} --out build/nano --resume

# Second stage: go on from a bundle's weights with a fresh optimiser (about an hour and a quarter).
train-nano-more from="build/nano/symphony-nano" minutes="73":
    python -m gensafe_backends.symphony.train --config nano --from {{from}} --peak 0.002 --minutes {{minutes}} --seed 2 --out build/nano-more --resume

# Third stage: edits, charts, several media at once, and media read back from files (about two hours).
train-nano-changes from="build/nano-more/symphony-nano" minutes="112":
    python -m gensafe_backends.symphony.train --config nano --from {{from}} --peak 0.0016 --minutes {{minutes}} --seed 3 --stage changes --heard benchmarks/results/symphony/heard.json --out build/nano-changes --resume
