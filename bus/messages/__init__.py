"""What goes over the bus: envelopes, how bodies are coded, and who signed them."""
