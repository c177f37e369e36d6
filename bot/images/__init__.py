"""Pictures: where they are kept."""
