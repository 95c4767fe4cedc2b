"""The named snapshots of an org. `promo_sandbox.engine.snapshots` says what a snapshot contains."""

from __future__ import annotations

from promo_sandbox.admin.orgs import org_json
from promo_sandbox.admin.shared import Operations, hint
from promo_sandbox.base import clock
from promo_sandbox.base.messages import Reply
from promo_sandbox.base.slices import Work
from promo_sandbox.engine.orgs import Org
from promo_sandbox.engine.snapshots import Snapshot
from promo_sandbox.model.call import Call
from promo_sandbox.model.rules import Rules
from promo_sandbox.model.state import Doc

MAX_SNAPSHOTS = 100  # of an org


class SnapshotOperations(Operations):
    def bind(self, rules: Rules) -> None:
        rules.operation("listSnapshots")(self._list)
        rules.operation("takeSnapshot")(self._take)
        rules.operation("restoreSnapshot")(self._restore)
        rules.operation("dropSnapshot")(self._drop)

    def _list(self, call: Call) -> Reply:
        snapshots = self.existing_org(call).snapshots
        return call.reply({"snapshots": [_snapshot_json(*item) for item in snapshots.items()]})

    def _take(self, call: Call) -> Reply:
        return call.reply_later(self._take_work(call, self.get_org(call)))

    def _take_work(self, call: Call, org: Org) -> Work[Reply]:
        yield from self.orgs.prepare_copy(org)
        name = call.path["name"]
        replaced = org.snapshots.pop(name, None)
        if replaced is not None:
            self.orgs.free_later(replaced.state)
        elif len(org.snapshots) >= MAX_SNAPSHOTS:
            call.reject("too-many-snapshots")
        org.snapshots[name] = Snapshot.of(org)
        return call.reply(_snapshot_json(name, org.snapshots[name]), status=200 if replaced else 201)

    def _restore(self, call: Call) -> Reply:
        org = self.existing_org(call)
        self.orgs.free_later(self._snapshot(call, org).restore(org))
        self.orgs.webhooks.cancel(org)
        return self.reply_caught_up(call, org, lambda org: self._restored(call, org))

    def _restored(self, call: Call, org: Org) -> Reply:
        self.orgs.set_clock(org)
        return call.reply(org_json(org))

    def _drop(self, call: Call) -> Reply:
        org = self.existing_org(call)
        self.orgs.free_later(self._snapshot(call, org).state)
        del org.snapshots[call.path["name"]]
        return call.reply()

    def _snapshot(self, call: Call, org: Org) -> Snapshot:
        name = call.path["name"]
        snapshot = org.snapshots.get(name)
        if snapshot is None:
            call.reject("unknown-snapshot", f"{org.name} has no snapshot {name}{hint(name, org.snapshots)}")
        return snapshot


def _snapshot_json(name: str, snapshot: Snapshot) -> Doc:
    return {
        "name": name,
        "at": clock.text(snapshot.at),
        "frozen": snapshot.clock.frozen,
        "documents": snapshot.state.count,
    }
