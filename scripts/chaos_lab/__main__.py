"""`scripts/chaos`: its command line."""

from gevent import monkey

monkey.patch_all()

import sys

from scripts.chaos_lab.command import main

if __name__ == "__main__":
    sys.exit(main())
