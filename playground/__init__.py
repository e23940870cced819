"""The playground: the whole product on one machine, with stand-ins for what belongs to others."""
