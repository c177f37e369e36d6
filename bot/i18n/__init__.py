"""Messages in people's languages: gettext catalogues, and who is answered in which.

A message is written once, in English, where it is made, as in `_("{count} images left", count=3)`; see
`engine.text`. Each other language is one file, `catalogs/<code>/LC_MESSAGES/easel.po`. It is read as it
stands, so there is nothing to compile. docs/languages.md says how to add one.
"""

from engine.text import Text, _, either, join, listing, ngettext

__all__ = ["Text", "_", "either", "join", "listing", "ngettext"]
