"""The rules for the files in `workflows/`: shapes, references, what the packages offer; for `scripts.workflows`."""
