"""`scripts/chaos`: its command line."""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402 - what is imported before the patch would stay unpatched

from scripts.chaos_lab.command import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
