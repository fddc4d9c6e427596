"""Our own evaluation (`make eval`): what the detectors reach, beside libspandsp on the same audio.

Every room has a module here with `section(part, scale)`. Part `seen` is what thresholds are chosen on; part `unseen`
(other seeds, other speakers and tracks) is measured and looked at only afterwards. Its tables stand in
docs/detectors.md.
"""

SECTIONS = ("dtmf", "talkoff", "connect", "carriers", "calls", "progress", "callerid", "activity")
"""The modules with a section, in the order of the tables."""
