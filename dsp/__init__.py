"""Arrays in, arrays out: G.711, tones, digits, classes, levels. No input or output, no clock, no line names."""
