"""What a picture shows: scripts that each run as a process of their own, and answer in JSON.

A picture comes as its length (4 bytes, big-endian) and its bytes; its description goes as one line.
"""
