"""Export of a trained pair to the files of other runtimes. Needs torch."""
