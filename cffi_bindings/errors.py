"""The one error tree of the bindings. What the operating system refuses stays an `OSError`."""


class BindingError(Exception):
    """A C library could not be used; the message names the library, the act and the remedy."""


class LibraryMissing(BindingError):
    """The binding is not compiled, or its library is not installed."""


class SpandspError(BindingError):
    """libspandsp refused what it was asked."""


class DahdiError(BindingError):
    """The DAHDI driver refused what it was asked, or is not there."""


class SynwayError(BindingError):
    """Synway's library refused what it was asked."""
