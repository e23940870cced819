"""How the demo model is made: its corpus, its training examples, its tokenizer, its evaluation."""
