"""One file per job; each is run as `python -m scripts.NAME` or through `make`."""
