"""One module per surface: its limits and the verbs verify, decode, reply, push."""
