"""Search: exact MaxSim over a multi-vector index, and BM25."""
