"""`python -m gateway` and the command `wakegate`. The one place that patches the standard library for gevent."""

from gateway.patch import patch_all

patch_all()

from gateway.cli import main  # noqa: E402 - what is imported before the patch would stay unpatched

if __name__ == "__main__":
    main()
