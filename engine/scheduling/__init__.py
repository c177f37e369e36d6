"""Who goes next: waiting jobs into the engine, and the steps of those inside it."""
