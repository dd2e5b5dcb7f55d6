"""`python -m quant_core.jobs`: the host of the workers. The app starts it when it is needed."""

import argparse

from quant_core.jobs.host import run
from quant_core.jobs.link import code_version

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m quant_core.jobs", description=__doc__)
    parser.add_argument("--memory", type=int, help="bytes that one worker may take")
    arguments = parser.parse_args()
    run(code_version(), arguments.memory)
