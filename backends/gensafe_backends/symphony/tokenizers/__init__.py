"""The universal tokenizer: patchify, encode, FSQ, id and back."""
