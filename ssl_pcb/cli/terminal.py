"""Other people's text on the terminal."""


def printable(text: str) -> str:
    """The text with line breaks and terminal codes, such as a file name may hold, written as escapes."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
