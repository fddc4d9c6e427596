"""The acceptance sheet: what it says as data, how that is sealed, and the page that shows it.

`sealed` makes the text that is signed and checks what a file holds; `page` draws the HTML. `python -m firmware` needs
the first alone.
"""
