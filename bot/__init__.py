"""From "someone typed" to an admitted job, and from pictures to a posted message."""
