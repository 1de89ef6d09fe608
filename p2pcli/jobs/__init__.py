"""Jobs, one file per verb: plain values in, a report out."""
