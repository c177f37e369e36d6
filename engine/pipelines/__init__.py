"""How a request becomes a call of a diffusers pipeline, and calls of several requests one forward pass."""
