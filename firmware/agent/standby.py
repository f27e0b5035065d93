"""Gateways that stand by for others: up only while one that names them as its backup fails.

Loaded where the configuration names one. The gateway that failed is tried again all the time, with
the usual back-off; once it is up the one that stood in goes.
"""


class Standby:
    """`backups`: {peer's name: its backup's name}."""

    def __init__(self, engine, upkeep, backups):
        self._engine = engine
        self._upkeep = upkeep
        self._backups = backups
        self._active = set()

    def run(self, now):
        engine = self._engine
        needed = [backup for name, backup in self._backups.items() if self._fails(name)]
        for backup in set(self._backups.values()):
            if backup in needed and backup not in self._active:
                self._active.add(backup)
                self._upkeep.want(backup, now)
                engine.event("standby", peer=backup, active=True)
            elif backup in self._active and self._all_up(backup):
                self._active.remove(backup)
                self._upkeep.forget(backup)
                engine.terminate(backup)
                engine.event("standby", peer=backup, active=False)

    def deadline(self):
        """None: whatever changes here comes with a message, or a timer of another."""

    def _fails(self, name):
        return name in self._engine.last_failure and not self._is_up(name)

    def _all_up(self, backup):
        return all(self._is_up(name) for name, other in self._backups.items() if other == backup)

    def _is_up(self, name):
        sa = self._engine.find(name)
        return sa is not None and sa.state == "ESTABLISHED"
