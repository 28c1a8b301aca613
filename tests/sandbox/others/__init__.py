"""Clients written elsewhere, each as a script of its own: they are asyncio or threads and know nothing of gevent."""
