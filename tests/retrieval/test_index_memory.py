"""Memory of a build does not grow with the number of documents."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SCRIPT = textwrap.dedent("""
    import sys
    import numpy as np
    from optical_ir.records import Doc
    from optical_ir.retrieval.index_build import write_index

    class Encoder:
        dim, longest = 128, 50
        rows = np.eye(128, dtype=np.float32)[:50]

        def encode_documents(self, texts, *, batch_size=32):
            return [self.rows.copy() for _ in texts]

    n_docs, folder = int(sys.argv[1]), sys.argv[2]
    docs = (Doc(str(number), "word " * 50) for number in range(n_docs))
    write_index(docs, Encoder(), folder, space="s", max_memory=32 << 20)
    # Not from getrusage, which on Linux starts with what the parent held.
    rows = open("/proc/self/status").read().splitlines()
    print(next(int(row.split()[1]) for row in rows if "VmHWM" in row) * 1024)
""")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
def test_ten_times_the_documents_take_no_more_memory(tmp_path):
    """20,000 documents have 512 MB of vectors in float32."""
    peaks = []
    for n_docs in (2000, 20000):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(n_docs), str(tmp_path / str(n_docs))],
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(done.stdout))
    assert peaks[1] - peaks[0] < 32 << 20
