"""Published tables next to reproduced ones: from measurements to verdicts, files and figures."""
