"""Gateways that stand by for others: up only while one that names them as its backup fails.

Loaded where the configuration names one. The gateway that failed is tried again all the time, with
the usual back-off; once it has been up for a minute the one that stood in goes.
"""

from agent.upkeep import LASTING_MS


class Standby:
    """`backups`: {peer's name: its backup's name}."""

    def __init__(self, engine, upkeep, backups):
        self._engine = engine
        self._upkeep = upkeep
        self._backups = backups
        self._active = set()
        self._since = {}  # backup that is active: since when it is not needed

    def run(self, now):
        engine = self._engine
        needed = [backup for name, backup in self._backups.items() if self._fails(name)]
        for backup in set(self._backups.values()):
            if backup in needed and backup not in self._active:
                self._active.add(backup)
                self._since.pop(backup, None)
                self._upkeep.want(backup, now)
                engine.event("standby", peer=backup, active=True)
            elif backup in self._active and self._is_spare(backup, now):
                self._upkeep.forget(backup)
                engine.terminate(backup)  # MemoryError: again in the next turn
                self._active.remove(backup)
                engine.event("standby", peer=backup, active=False)

    def deadline(self):
        """None: the loop comes by every second."""

    def _fails(self, name):
        failed = name in self._engine.last_failure or self._upkeep.fails(name)
        return failed and not self._engine.is_up(name)

    def _is_spare(self, backup, now):
        """Whether all that a gateway stands in for are up, and not just for a moment."""
        for name, other in self._backups.items():
            if other == backup and not self._engine.is_up(name):
                self._since.pop(backup, None)
                return False
        return now - self._since.setdefault(backup, now) >= LASTING_MS
