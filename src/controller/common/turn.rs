//! Turns: rotations that are late at once are spread over time.

use k8s_openapi::jiff::Timestamp;
use kube::Resource;

use super::schedule::{ON_TIME, later, turn};
use crate::controller::engine::kind::Kind;

impl<K> Kind<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    /// Returns the turn of a resource that is late with what was due at this time, because many others may be late too.
    /// None: it waits for no turn. A failing resource already waits for its retries.
    pub fn turn(&self, uid: &str, due_at: Option<Timestamp>) -> Option<Timestamp> {
        let now = Timestamp::now();
        let late = due_at.filter(|at| later(*at, ON_TIME) < now && !self.memory.is_failing(uid));
        let Some(due_at) = late else {
            self.memory.not_due(uid);
            return None;
        };
        let wait = turn(uid, self.store.len()).saturating_sub(self.memory.due_for(uid, due_at));
        (!wait.is_zero()).then(|| later(now, wait))
    }
}
