"""The documentation: its code runs, its commands exist, its links lead somewhere, and it names all there is.

- `pages`: reads the pages: their blocks, headings and links. Pure.
"""
