"""What a picture says of its origin: signed metadata, and an invisible mark that survives copies."""
