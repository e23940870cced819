"""Package files for Dify: built, bundled, signed, given their wheels, and checked (`check`)."""
