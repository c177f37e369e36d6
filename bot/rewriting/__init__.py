"""Prompts made shorter or longer: by rules, or by a text model where there is one."""
