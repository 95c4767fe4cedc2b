"""The present of an org named, to go back to. What a snapshot holds is `sandbox.orgs`'s business."""

from __future__ import annotations

from sandbox import clock
from sandbox.admin.operations import Operations, near
from sandbox.admin.orgs import org_json
from sandbox.call import Call
from sandbox.messages import Reply
from sandbox.org import Org, Snapshot
from sandbox.rules import Doc, Rules

MAX_SNAPSHOTS = 100  # of an org


class SnapshotOperations(Operations):
    def bind(self, rules: Rules) -> None:
        rules.operation("listSnapshots")(self._list)
        rules.operation("takeSnapshot")(self._take)
        rules.operation("restoreSnapshot")(self._restore)
        rules.operation("dropSnapshot")(self._drop)

    def _list(self, call: Call) -> Reply:
        snapshots = self.known(call).snapshots
        return call.reply({"snapshots": [_snapshot_json(*item) for item in snapshots.items()]})

    def _take(self, call: Call) -> Reply:
        org, name = self.made(call), call.path["name"]
        again = name in org.snapshots
        if not again and len(org.snapshots) >= MAX_SNAPSHOTS:
            call.reject("too-many-snapshots")
        snapshot = self.orgs.take_snapshot(org, name)
        return call.reply(_snapshot_json(name, snapshot), status=200 if again else 201)

    def _restore(self, call: Call) -> Reply:
        org = self.known(call)
        self.orgs.go_back(org, self._snapshot(call, org))
        return call.reply(org_json(org))

    def _drop(self, call: Call) -> Reply:
        org = self.known(call)
        self._snapshot(call, org)
        self.orgs.drop_snapshot(org, call.path["name"])
        return call.reply()

    def _snapshot(self, call: Call, org: Org) -> Snapshot:
        name = call.path["name"]
        snapshot = org.snapshots.get(name)
        if snapshot is None:
            call.reject("unknown-snapshot", f"{org.name} has no snapshot {name}{near(name, org.snapshots)}")
        return snapshot


def _snapshot_json(name: str, snapshot: Snapshot) -> Doc:
    return {
        "name": name,
        "at": clock.text(snapshot.at),
        "frozen": snapshot.clock.frozen,
        "documents": snapshot.state.count,
    }
