"""Rate and quality of many codecs on the same pictures: what `experiments.rd_kodak` measures, judges and writes."""
