"""Report text: cleaning as the field does it, and the tokenizer."""
