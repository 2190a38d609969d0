"""A server's matrix products run on one thread each, unless its operator wants more; engines keep theirs."""

import os
import subprocess
import sys

import pytest

COUNT = """
import os
import gensafe.cli
gensafe.cli.main(["serve", "--help"])
import numpy
numpy.ones((600, 600)) @ numpy.ones((600, 600))
from gensafe.core.threads import environment_of_engines
print(len(os.listdir("/proc/self/task")), environment_of_engines().get("OPENBLAS_NUM_THREADS", "its own"))
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="counts threads as Linux shows them")
@pytest.mark.parametrize(("wanted", "said"), [({}, "1 its own"), ({"OPENBLAS_NUM_THREADS": "2"}, "2 2")])
def test_a_server_multiplies_on_one_thread(wanted, said):
    without = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    done = subprocess.run([sys.executable, "-c", COUNT], env=without | wanted, stdout=subprocess.PIPE, check=True)
    assert done.stdout.decode().splitlines()[-1] == said
