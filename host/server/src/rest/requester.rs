//! Who makes a request of the REST API, for the audit log.

use std::cell::OnceCell;
use std::future::Future;

tokio::task_local! {
    static REQUESTER: OnceCell<String>;
}

/// Notes the user who makes the present request.
pub(super) fn note(user_name: &str) {
    // Fails only where a test calls a handler by itself.
    let _noted = REQUESTER.try_with(|requester| requester.set(user_name.to_owned()));
}

/// Answers a request, and returns the user who made it, where the host knows that.
pub(crate) async fn with_requester<T>(answer: impl Future<Output = T>) -> (T, Option<String>) {
    REQUESTER
        .scope(OnceCell::new(), async {
            let answer = answer.await;
            (answer, REQUESTER.with(|requester| requester.get().cloned()))
        })
        .await
}
