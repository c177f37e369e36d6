"""What a picture shows, as prompts that paint something like it."""
