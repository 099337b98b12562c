//! A crash after every commit in turn, while a flow does the same work.

use std::collections::BTreeSet;

use crate::scene::text;
use crate::{Answer, Ended, Host, Webhook};

/// Lets a host die after its first commit, its second, and so on, until it survives a call. After each death it is started
/// again, and the execution that was cut off is looked at when it has ended.
///
/// `host` has all that is called, and each of its successors is set up as it is. `call` calls `webhook`, once, on a host that
/// is about to die after so many commits, and gives no answer where it did. `check` is given the host that follows, the number
/// of commits and the execution as it ended in success; so it is for the one that was not cut off. One that nothing was kept
/// of but its beginning is interrupted, and is left out.
///
/// Gives the host that follows the one that survived.
///
/// # Panics
///
/// When an execution ends otherwise, or fewer than `least` were cut off after a commit of their own. How many commits a start
/// makes differs by one or two, so that one or the other commit may be hit twice or not at all.
pub fn after_every_commit(
    mut host: Host,
    webhook: &Webhook,
    least: usize,
    mut call: impl FnMut(&Host, u64) -> Option<Answer>,
    mut check: impl FnMut(&Host, u64, &Ended),
) -> Host {
    let setup = host.setup();
    let (mut seen, mut cut_off) = (BTreeSet::new(), 0);
    stop(&host);
    for commits in 1.. {
        // The start makes commits of its own.
        let Ok(dying) = setup.clone().flag("--abort-after-commits", &commits.to_string()).try_start() else { continue };
        let answer = call(&dying, commits);
        let survived = answer.is_some();
        match answer {
            Some(answer) => {
                answer.ok();
                dying.kill();
            }
            None => {
                dying.wait();
            }
        }
        host = setup.clone().start();
        for execution in host.executions_of(webhook.name()) {
            let id = text(&execution, "id").to_owned();
            let ended = host.wait_until_ended(&id);
            if !seen.insert(id) || ended.failure() == Some("execution.interrupted") {
                continue;
            }
            assert_eq!(ended.status(), "ENDED_SUCCESS", "after {commits} commits: {}", ended.record);
            check(&host, commits, &ended);
            cut_off += usize::from(!survived);
        }
        if survived {
            break;
        }
        stop(&host);
    }
    assert!(cut_off >= least, "cut off {cut_off} times");
    host
}

fn stop(host: &Host) {
    host.terminate();
    host.wait();
}
