"""One module or folder for each surface; each translates what people do and renders cards."""
